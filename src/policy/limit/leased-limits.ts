import { makeRoom } from "../../core/kept.ts";
import { type LeaseAsk, type LeaseGrant, leaseMs } from "./limit-grantor.ts";
import { type SharedLimitAnswer, type SharedLimitRequest, type SharedLimits, sharedLimitId } from "./shared-limit.ts";

/** Asks the grantor; calls `reply` once, with null when it cannot be reached. */
export type AskGrantor = (ask: LeaseAsk, reply: (grant: LeaseGrant | null) => void) => void;

/**
 * Shared limits by tokens that are leased ahead from a grantor (limit-grantor.ts): a call takes one from those that its process holds, without asking
 * anybody; more are asked for in the background before they run out. A pure machine but for `ask`: time comes from `now`, and nothing runs by itself.
 *
 *     unknown --first call: ask, it waits for the grant--> holding --fewer than a lease's half of what it needs: ask--> holding
 *                                                            |  ^--grant                                  |
 *                                                            |  `----tokens run out: wait for the grant; after one of none refused until it says
 *                                                            `--no answer--> alone (null: the caller keeps to its own share), asks again after 1 s
 *
 *     N1  No more tokens are used than were granted, and none later than validMs after it was asked for: how the clocks of node and grantor differ
 *         does not matter, only that both run at the same speed.
 *     N2  One question at a time is open for each limit and key.
 *     N3  Tokens that were not used when their time is over go back with the next question.
 *
 * At most `maxKeys` limits and keys are kept; the one that was used longest ago gives way, with its tokens.
 */
export class LeasedLimits implements SharedLimits {
  readonly #node: string;
  readonly #ask: AskGrantor;
  readonly #now: () => number;
  readonly #maxKeys: number;
  readonly #leases = new Map<string, LeasedLimit>();

  constructor(node: string, ask: AskGrantor, now: () => number, maxKeys = 100_000) {
    this.#node = node;
    this.#ask = ask;
    this.#now = now;
    this.#maxKeys = maxKeys;
  }

  take(request: SharedLimitRequest, answer: (answer: SharedLimitAnswer | null) => void): void {
    const now = this.#now();
    const lease = this.#leaseOf(request);
    const known = lease.take(request.cost, now);
    if (known !== undefined) answer(known);
    else if (lease.waiting.length >= MAX_WAITING) answer(lease.refusal(now));
    else lease.waiting.push({ cost: request.cost, answer });
    this.#askFor(lease, now);
  }

  #askFor(lease: LeasedLimit, now: number): void {
    const ask = lease.ask(this.#node, now);
    if (ask === null) return;
    this.#ask(ask, (grant) => {
      const then = this.#now();
      lease.granted(grant, then);
      const waiting = lease.waiting;
      lease.waiting = [];
      for (const call of waiting) {
        const known = lease.decide(call.cost, then);
        if (known === undefined) lease.waiting.push(call);
        else call.answer(known);
      }
      if (grant !== null) this.#askFor(lease, then); // it may have been too little already
    });
  }

  #leaseOf(request: SharedLimitRequest): LeasedLimit {
    const id = sharedLimitId(request);
    let lease = this.#leases.get(id);
    if (lease === undefined) {
      makeRoom(this.#leases, this.#maxKeys);
      lease = new LeasedLimit(request);
    } else this.#leases.delete(id);
    this.#leases.set(id, lease); // the newest last
    return lease;
  }
}

/** One limit and key at one node. */
export class LeasedLimit {
  readonly #limit: SharedLimitRequest;
  readonly #validMs: number;
  /** Calls that wait for a grant. */
  waiting: { cost: number; answer: (answer: SharedLimitAnswer | null) => void }[] = [];
  /** At most two leases are held: the one in use, and the next. */
  #tokens = 0;
  #expiresAt = 0;
  #nextTokens = 0;
  #nextExpiresAt = 0;
  #unused = 0;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking = false;
  #notBefore = Number.NEGATIVE_INFINITY;
  #state: "unknown" | "holding" | "alone" = "unknown";
  /** Calls a second, over about the last seconds. */
  #demand = 0;
  #seen = 0;
  #seenSince = Number.NEGATIVE_INFINITY;

  constructor(limit: SharedLimitRequest) {
    this.#limit = limit;
    this.#validMs = leaseMs(limit.perMs);
  }

  /** Undefined: the next grant has to say. Null: there is nobody to say. */
  take(cost: number, now: number): SharedLimitAnswer | null | undefined {
    this.#count(cost, now);
    return this.decide(cost, now);
  }

  /** take() for a call that was counted before. */
  decide(cost: number, now: number): SharedLimitAnswer | null | undefined {
    this.#expire(now);
    if (this.#tokens + this.#nextTokens >= cost) {
      const first = Math.min(cost, this.#tokens);
      this.#tokens -= first;
      this.#nextTokens -= cost - first;
      return { allowed: true, waitMs: 0, left: this.#tokens + this.#nextTokens };
    }
    if (this.#state === "alone") return null;
    // That nothing is held says nothing of the limit: the node may only have been idle, or quicker than its line.
    return now < this.#notBefore ? this.refusal(now) : undefined;
  }

  refusal(now: number): SharedLimitAnswer {
    const waitMs = Math.max(1, this.#notBefore - now, this.#asking ? 0 : this.#limit.perMs / this.#limit.requests);
    return { allowed: false, waitMs, left: 0 };
  }

  /** What to ask the grantor now, null for nothing. */
  ask(node: string, now: number): LeaseAsk | null {
    if (this.#asking || now < this.#notBefore) return null;
    this.#expire(now);
    // What is needed until the next lease: asked for when half of a lease's time is not covered any more.
    const rate = this.#rate(now);
    const need = Math.max(1, Math.ceil((rate * this.#validMs) / 1_000));
    const held = this.#tokens + this.#nextTokens;
    if (held > need / 2 && this.#state === "holding" && this.waiting.length === 0) return null;
    this.#asking = true;
    this.#askedAt = now;
    const returned = this.#unused;
    this.#unused = 0;
    const wanted = Math.max(1, need - held) + this.waiting.reduce((sum, { cost }) => sum + cost, 0);
    return { limit: this.#limit, node, wanted, demand: rate, returned };
  }

  granted(grant: LeaseGrant | null, now: number): void {
    this.#asking = false;
    if (grant === null) {
      this.#state = "alone";
      this.#notBefore = now + RETRY_MS;
      return;
    }
    this.#state = "holding";
    this.#notBefore = now + Math.max(0, grant.waitMs);
    this.#expire(now);
    const expiresAt = this.#askedAt + Math.min(grant.validMs, this.#validMs);
    if (grant.tokens <= 0 || expiresAt <= now) {
      this.#unused += Math.max(0, grant.tokens);
      return;
    }
    if (this.#tokens > 0 && this.#nextTokens > 0) {
      // Three at once: the two older ones are good for as long as the oldest.
      this.#tokens += this.#nextTokens;
    } else if (this.#nextTokens > 0) {
      this.#tokens = this.#nextTokens;
      this.#expiresAt = this.#nextExpiresAt;
    }
    if (this.#tokens > 0) {
      this.#nextTokens = grant.tokens;
      this.#nextExpiresAt = expiresAt;
    } else {
      this.#tokens = grant.tokens;
      this.#expiresAt = expiresAt;
      this.#nextTokens = 0;
    }
  }

  #expire(now: number): void {
    if (this.#tokens > 0 && now >= this.#expiresAt) {
      this.#unused = this.#tokens;
      this.#tokens = 0;
    }
    if (this.#nextTokens > 0 && now >= this.#nextExpiresAt) {
      this.#unused += this.#nextTokens;
      this.#nextTokens = 0;
    }
  }

  #count(cost: number, now: number): void {
    if (now - this.#seenSince >= DEMAND_MS) {
      const elapsed = now - this.#seenSince;
      const rate = elapsed === Number.POSITIVE_INFINITY ? 0 : (this.#seen * 1_000) / elapsed;
      this.#demand = elapsed > 10 * DEMAND_MS ? rate : (this.#demand + rate) / 2;
      this.#seen = 0;
      this.#seenSince = now;
    }
    this.#seen += cost;
  }

  #rate(now: number): number {
    const elapsed = Math.max(DEMAND_MS, now - this.#seenSince);
    return Math.max(this.#demand, (this.#seen * 1_000) / elapsed);
  }
}

/** Calls of one limit and key that wait for a grant. */
const MAX_WAITING = 1_000;
/** After a question that was not answered. */
const RETRY_MS = 1_000;
/** Demand is measured over such times. */
const DEMAND_MS = 200;
