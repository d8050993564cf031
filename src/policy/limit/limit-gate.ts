import type { DecisionStep, Place } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import { ms } from "../resource/duration.ts";
import type { ProcessState } from "../snapshot/process-state.ts";
import { ConcurrencyGate } from "./concurrency-gate.ts";
import { isCountedBefore, tellCounted } from "./counted-before.ts";
import { type CostReader, compileCost } from "./limit-cost.ts";
import { keyText } from "./limit-key.ts";
import type { LimitException, LimiterState } from "./limiter.ts";
import { tellLimit } from "./rate-limit-headers.ts";
import type { RateLimitPlace } from "./rate-limit-spec.ts";
import { parseSharedAnswer, type SharedLimitRequest } from "./shared-limit.ts";

/** Every RateLimit that holds for the calls and is enforced at this place, in the order from least to most specific. */
export function limitGates({ place, methodName, attached, keeper }: GateContext): Gate[] {
  const gates: Gate[] = [];
  for (const limit of attached("RateLimit")) {
    const { enforcedBy = "gateway", cost } = limit.spec;
    if (!isEnforced(enforcedBy, place)) continue;
    const limiter = keeper.limiter(limit);
    const both = enforcedBy === "both";
    if (limiter.inFlight !== null) gates.push(new ConcurrencyGate(limiter, limiter.inFlight, both));
    else gates.push(new LimitGate(limiter, compileCost(cost, methodName), keeper.process, both));
  }
  return gates;
}

/** The table of rate-limit-spec.ts: a call that passes several places is limited once. */
function isEnforced(by: RateLimitPlace, place: Place): boolean {
  if (place === "gateway") return by === "gateway" || by === "both";
  if (place === "server") return by === "server" || by === "both";
  return by === "client";
}

/**
 * Takes from the count that the call shares with others of its key, here or (scope "system") from the one that the whole system shares.
 *
 *     enter -> [counted by the gateway? pass] -> [hot key? its own limit] -> this process's count ------> pass | wait | respond
 *                                                                        `-> ask -> answered ----------> pass | respond
 *                                                                                      `silence: this process's share
 *
 * Note: code = what decided; a = ms until it may pass; b = what is left; c = cost; text = the key; detail = the limit of a single key.
 */
class LimitGate implements Gate {
  readonly rule = "limit";
  readonly source: string;
  readonly #limiter: LimiterState;
  readonly #cost: CostReader;
  readonly #process: ProcessState;
  /** Enforced at gateways and services: the first tells the second. */
  readonly #both: boolean;

  constructor(limiter: LimiterState, cost: CostReader, process: ProcessState, both: boolean) {
    this.#limiter = limiter;
    this.#cost = cost;
    this.#process = process;
    this.#both = both;
    this.source = `RateLimit ${limiter.name}`;
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const limiter = this.#limiter;
    if (this.#both && isCountedBefore(call, limiter.name)) {
      call.decision.note(this, "skipped").code = By.gateway;
      return GateAnswer.pass;
    }
    const key = limiter.keyOf(call);
    const cost = this.#cost(call);
    const exception = limiter.exceptions?.get(key) ?? null;
    const { hot } = limiter;
    if (hot !== null && exception === null && call.tape.read(hot.shareOf(key, cost, now)) > hot.share) {
      const waitMs = call.tape.read(hot.counter.take(key, cost, 1, now));
      const left = call.tape.read(hot.counter.left);
      if (waitMs > 0) {
        const note = this.#note(call, By.hot, key, cost, exception, waitMs, left);
        return this.#refuse(call, note, hot.counter.resetMs);
      }
    }
    if (!limiter.shared) return this.#take(call, By.process, key, cost, exception, 1, now);
    const { name, algorithm, requests, perMs, burst } = limiter;
    const about = {
      name,
      key,
      algorithm,
      requests: exception?.requests ?? requests,
      perMs,
      burst: exception?.burst ?? burst,
      cost,
    } as SharedLimitRequest;
    call.memory[slot] = about;
    call.query = { kind: "shared-limit", key: `${name}/${key}`, about };
    call.queryMs = QUERY_MS;
    return GateAnswer.ask;
  }

  /** Silence of the shared limiter leaves it to this process, which keeps to its share. */
  answered(call: CallState, slot: number, result: unknown, now: number): GateAnswer {
    const { key, cost, requests, perMs, burst } = call.memory[slot] as SharedLimitRequest;
    const exception = this.#limiter.exceptions?.get(key) ?? null;
    const answer = parseSharedAnswer(call.tape.keep(parseSharedAnswer(result)));
    if (answer === null) {
      this.#limiter.counts.alone++;
      return this.#take(call, By.share, key, cost, exception, Math.max(1, call.tape.read(this.#process.peers)), now);
    }
    const left = Math.min(answer.left, Math.max(requests, burst));
    const resetMs = Math.max(0, ((requests - left) / requests) * perMs);
    const note = this.#note(call, By.system, key, cost, exception, answer.allowed ? 0 : answer.waitMs, left);
    return answer.allowed ? this.#pass(call, note, resetMs) : this.#refuse(call, note, resetMs);
  }

  /** The time until its place has come is over. */
  resumed(): GateAnswer {
    return GateAnswer.pass;
  }

  #take(
    call: CallState,
    by: By,
    key: string,
    cost: number,
    exception: LimitException | null,
    share: number,
    now: number,
  ): GateAnswer {
    const counter = exception?.counter ?? this.#limiter.counter;
    const waitMs = call.tape.read(counter.take(key, cost, share, now, call.caller.deadline - now));
    const taken = call.tape.read(counter.taken || waitMs === 0 ? 1 : 0) === 1;
    const left = call.tape.read(counter.left);
    const note = this.#note(call, by, key, cost, exception, waitMs, left);
    return taken ? this.#pass(call, note, counter.resetMs) : this.#refuse(call, note, counter.resetMs);
  }

  #pass(call: CallState, note: GateNote, resetMs: number): GateAnswer {
    const limiter = this.#limiter;
    limiter.counts.passed++;
    const { a: waitMs, b: left } = note;
    if (limiter.headers !== "none") tellLimit(call, limiter, this.#limitOf(note), left, resetMs);
    if (this.#both && call.caller.place === "gateway") tellCounted(call, limiter.name);
    if (waitMs === 0) return GateAnswer.pass;
    limiter.counts.waited++;
    call.waitMs = waitMs;
    return GateAnswer.wait;
  }

  #refuse(call: CallState, note: GateNote, resetMs: number): GateAnswer {
    const limiter = this.#limiter;
    if (limiter.shadow) {
      note.verdict = "shadow";
      limiter.counts.shadow++;
      return GateAnswer.pass;
    }
    note.verdict = "denied";
    limiter.counts.denied++;
    const { a: waitMs, b: left } = note;
    const requests = this.#limitOf(note);
    if (limiter.headers !== "none") tellLimit(call, limiter, requests, left, resetMs);
    const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
    const message = `rate limit ${limiter.name}: over ${rate(requests, limiter.perMs)}; try again in ${ms(waitMs)}`;
    call.response = errorAnswer("resource_exhausted", 429, "RATE_LIMITED", message, true, ["retry-after", seconds]);
    return GateAnswer.respond;
  }

  #note(
    call: CallState,
    by: By,
    key: string,
    cost: number,
    exception: LimitException | null,
    waitMs: number,
    left: number,
  ): GateNote {
    const note = call.decision.note(this, "ok");
    note.code = by;
    note.a = waitMs;
    note.b = left;
    note.c = cost;
    note.text = key;
    note.detail = exception;
    return note;
  }

  /** Of how many calls: those of the limit, of a hot key, or of the key's own exception. */
  #limitOf({ code, detail }: GateNote): number {
    const { hot, requests } = this.#limiter;
    return code === By.hot ? (hot?.requests ?? 0) : ((detail as LimitException | null)?.requests ?? requests);
  }

  describe(note: GateNote): Pick<DecisionStep, "text" | "values"> {
    const { name, perMs } = this.#limiter;
    const { code, a: waitMs, b: left, c: cost, text: key, verdict } = note;
    if (code === By.gateway) return { text: `${name}: counted by the gateway`, values: {} };
    const limit = this.#limitOf(note);
    const who = key === "" ? "" : ` for ${keyText(key)}`;
    const how = [code === By.hot ? "hot key" : "", code === By.share ? "own share" : "", cost > 1 ? `cost ${cost}` : ""]
      .filter((part) => part !== "")
      .join(", ");
    const aside = how === "" ? "" : ` (${how})`;
    const values: Record<string, number | string> = { left };
    if (waitMs > 0) values.waitMs = waitMs;
    if (cost > 1) values.cost = cost;
    if (key !== "") values.key = keyText(key);
    if (verdict === "ok") {
      const waited = waitMs > 0 ? `, waited ${ms(waitMs)}` : "";
      return { text: `${name}: ${left} of ${rate(limit, perMs)} left${who}${waited}${aside}`, values };
    }
    const shadow = verdict === "shadow" ? "; let pass, since the limit only watches" : `; next in ${ms(waitMs)}`;
    return { text: `${name}: over ${rate(limit, perMs)}${who}${shadow}${aside}`, values };
  }

  nearest({ a: waitMs, code }: GateNote): string {
    const what = code === By.hot ? "a higher limit of hot keys" : "a higher rate or burst";
    return `would have passed ${ms(waitMs)} later, or with ${what} in ${this.source}`;
  }
}

/** "100/s", "5/min", "10 in 5 s". */
function rate(requests: number, perMs: number): string {
  const unit = perMs === 1_000 ? "s" : perMs === 60_000 ? "min" : perMs === 3_600_000 ? "h" : "";
  return unit === "" ? `${requests} in ${ms(perMs)}` : `${requests}/${unit}`;
}

/** What decided: the process's count, that of the system, the process's share of it, a hot key's limit, or a gateway before. */
const By = { process: 0, system: 1, share: 2, hot: 3, gateway: 4 } as const;
type By = (typeof By)[keyof typeof By];

/** How long the shared limiter may take to answer. */
const QUERY_MS = 50;
