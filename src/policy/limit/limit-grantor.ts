import { makeRoom } from "../../core/kept.ts";
import { type SharedLimitRequest, sharedLimitId } from "./shared-limit.ts";
import { SlidingWindows } from "./sliding-window.ts";

/** What a node asks for: tokens ahead of a limit, for a while. */
export interface LeaseAsk {
  /** `cost` means nothing here. */
  readonly limit: SharedLimitRequest;
  /** Who asks, unique among those that do. */
  readonly node: string;
  /** Tokens that it would like, 1 or more. */
  readonly wanted: number;
  /** Calls a second that it gets for this limit, whether they pass or not: what fair shares go by. */
  readonly demand: number;
  /** Of its last grant: tokens that it did not use and gives back. */
  readonly returned: number;
}

export interface LeaseGrant {
  /** 0 and more, not always as many as were wanted. */
  readonly tokens: number;
  /** For how long they may be used, from when they were asked for. */
  readonly validMs: number;
  /** When there may be more: not to be asked for again before. */
  readonly waitMs: number;
}

/**
 * Grants tokens of limits to nodes, which use them without asking for each call. Kept by the control plane: one bucket for each limit and key.
 *
 *     ask --> grant = min(wanted, share of the tokens that are there)      share: by max-min fairness of the nodes' demands
 *
 *     G1  Token bucket: in any time T tokens for at most burst + rate x (T + 2 x validMs) calls are used, by all nodes together: what is granted is taken
 *         from the bucket at once and may be used for validMs. Tokens that come back were not expired at the node's question before, and that must
 *         be no longer ago than validMs: none is older than two of them.
 *     G2  Sliding window: in any `perMs` at most `requests` are used, exactly: grants are counted over perMs + validMs.
 *     G3  A node gets at least its share when it asks for it, whatever others want; what others do not need is shared out.
 *
 * GCRA's even spacing is not kept across nodes: such limits are granted as token buckets. Demands are forgotten after 10 s without an ask; limits
 * that nobody asks for give way to others when `maxLimits` are kept.
 */
export class LimitGrantor {
  readonly #limits = new Map<string, GrantedLimit>();
  readonly #maxLimits: number;

  constructor(maxLimits = 100_000) {
    this.#maxLimits = maxLimits;
  }

  lease({ limit, node, wanted, demand, returned }: LeaseAsk, now: number): LeaseGrant {
    const id = sharedLimitId(limit);
    let granted = this.#limits.get(id);
    if (granted === undefined) {
      // The one that was asked for longest ago is full again, or as good as.
      makeRoom(this.#limits, this.#maxLimits);
      granted = limit.algorithm === "sliding-window" ? new GrantedWindow(limit) : new GrantedBucket(limit);
    } else this.#limits.delete(id);
    this.#limits.set(id, granted);
    return granted.lease(node, Math.max(1, wanted), Math.max(0, demand), Math.max(0, returned), now);
  }

  get limits(): number {
    return this.#limits.size;
  }
}

/** How long tokens of a limit are good for: a tenth of its time, so that what lies unused at a node is little. */
export function leaseMs(perMs: number): number {
  return Math.min(MAX_LEASE_MS, Math.max(MIN_LEASE_MS, perMs / 10));
}

interface NodeState {
  demand: number;
  askedAt: number;
  /** The last grant, of which tokens may come back. */
  tokens: number;
}

abstract class GrantedLimit {
  protected readonly validMs: number;
  protected readonly nodes = new Map<string, NodeState>();
  readonly #shares: FairShares;
  #forgotAt = Number.NEGATIVE_INFINITY;

  constructor({ perMs, requests }: SharedLimitRequest) {
    this.validMs = leaseMs(perMs);
    this.#shares = new FairShares((requests / perMs) * 1_000);
  }

  lease(node: string, wanted: number, demand: number, returned: number, now: number): LeaseGrant {
    if (now - this.#forgotAt >= FORGET_MS / 10) {
      this.#forgotAt = now;
      for (const [name, { askedAt }] of this.nodes) if (now - askedAt > FORGET_MS) this.nodes.delete(name);
    }
    const known = this.nodes.get(node);
    if (known !== undefined && now - known.askedAt <= this.validMs)
      this.giveBack(Math.min(returned, known.tokens), now);
    if (known === undefined && this.nodes.size >= MAX_NODES)
      return { tokens: 0, validMs: this.validMs, waitMs: FORGET_MS };
    const state = known ?? { demand, askedAt: now, tokens: 0 };
    state.demand = demand;
    state.askedAt = now;
    this.nodes.set(node, state);
    const there = this.available(now);
    const part = Math.max(1, Math.ceil(there * this.#shares.of(state, this.nodes, now)));
    const tokens = Math.floor(Math.min(wanted, there, part));
    if (tokens > 0) this.grant(tokens, now);
    state.tokens = tokens;
    return { tokens, validMs: this.validMs, waitMs: tokens > 0 ? 0 : this.waitMs(now) };
  }

  protected abstract available(now: number): number;
  protected abstract grant(tokens: number, now: number): void;
  protected abstract giveBack(tokens: number, now: number): void;
  protected abstract waitMs(now: number): number;
}

class GrantedBucket extends GrantedLimit {
  readonly #costMs: number;
  readonly #depthMs: number;
  /** When it would be full again (token-bucket.ts). */
  #fullAt = Number.NEGATIVE_INFINITY;

  constructor(limit: SharedLimitRequest) {
    super(limit);
    this.#costMs = limit.perMs / limit.requests;
    this.#depthMs = limit.burst * this.#costMs;
  }

  protected available(now: number): number {
    return Math.floor((this.#depthMs - Math.max(0, this.#fullAt - now)) / this.#costMs + 1e-9);
  }

  protected grant(tokens: number, now: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + tokens * this.#costMs;
  }

  protected giveBack(tokens: number): void {
    this.#fullAt -= tokens * this.#costMs;
  }

  protected waitMs(now: number): number {
    return Math.max(1, this.#fullAt + this.#costMs - this.#depthMs - now);
  }
}

class GrantedWindow extends GrantedLimit {
  readonly #window: SlidingWindows;
  readonly #requests: number;

  constructor(limit: SharedLimitRequest) {
    super(limit);
    this.#requests = limit.requests;
    this.#window = new SlidingWindows(limit.requests, limit.perMs + this.validMs, 1);
  }

  protected available(now: number): number {
    return this.#window.leftOf("", now);
  }

  protected grant(tokens: number, now: number): void {
    this.#window.take("", tokens, 1, now);
  }

  protected giveBack(): void {} // the window has counted them

  protected waitMs(now: number): number {
    return Math.max(1, this.#window.take("", this.#requests, 1, now)); // while anything is counted, all of them are not to be had
  }
}

/**
 * Max-min fairness: everybody gets what it wants up to a level at which all is given away; nobody who wants more than another gets less. Worked out anew
 * now and then, since a limit may have thousands of nodes.
 */
class FairShares {
  readonly #perSecond: number;
  #workedOutAt = Number.NEGATIVE_INFINITY;
  #nodes = 0;
  #total = 0;
  /** Calls a second that nobody gets more of; Infinity when there is enough for all. */
  #level = Number.POSITIVE_INFINITY;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** 0..1: a node's part of what is there. */
  of(own: NodeState, nodes: ReadonlyMap<string, NodeState>, now: number): number {
    if (nodes.size !== this.#nodes || now - this.#workedOutAt >= WORK_OUT_MS) this.#workOut(nodes, now);
    const wanted = Math.max(own.demand, LEAST_DEMAND);
    if (this.#level === Number.POSITIVE_INFINITY) return Math.min(1, wanted / this.#total);
    return Math.min(wanted, this.#level) / this.#perSecond;
  }

  #workOut(nodes: ReadonlyMap<string, NodeState>, now: number): void {
    this.#workedOutAt = now;
    this.#nodes = nodes.size;
    const demands = Array.from(nodes.values(), ({ demand }) => Math.max(demand, LEAST_DEMAND)).sort((a, b) => a - b);
    this.#total = demands.reduce((sum, demand) => sum + demand, 0);
    this.#level = Number.POSITIVE_INFINITY;
    let left = this.#perSecond;
    for (let i = 0; this.#total > this.#perSecond && i < demands.length; i++) {
      const equal = left / (demands.length - i);
      if (demands[i] > equal) {
        this.#level = equal;
        return;
      }
      left -= demands[i];
    }
  }
}

const WORK_OUT_MS = 50;
const MIN_LEASE_MS = 20;
const MAX_LEASE_MS = 1_000;
const FORGET_MS = 10_000;
const MAX_NODES = 10_000;
const LEAST_DEMAND = 0.001;
