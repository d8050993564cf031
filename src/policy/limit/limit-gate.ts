import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { ms } from "../machine/attempt.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import { errorAnswer } from "../machine/local-answers.ts";
import type { LimiterState } from "./limiter.ts";

/** Every RateLimit that holds for the calls. Clients do not enforce them: a call is limited once. */
export function limitGates({ place, attached, keeper }: GateContext): Gate[] {
  if (place === "client") return [];
  return attached("RateLimit").map((limit) => new LimitGate(keeper.limiter(limit)));
}

/** Takes a token of the call's bucket, or of the bucket that the whole system shares. Note: a = ms until there is one; text = the key. */
class LimitGate implements Gate {
  readonly rule = "limit";
  readonly source: string;
  readonly #limiter: LimiterState;

  constructor(limiter: LimiterState) {
    this.#limiter = limiter;
    this.source = `RateLimit ${limiter.name}`;
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const limiter = this.#limiter;
    const { peerAddress, peerIdentity, asSent } = call.caller;
    const key = limiter.keyOf((asSent ?? call.request).fields, peerAddress, peerIdentity);
    call.memory[slot] = key;
    if (!limiter.shared) return this.#take(call, key, now);
    call.query = { kind: "shared-limit", key: `${limiter.name}/${key}`, about: limiter };
    call.queryMs = QUERY_MS;
    return GateAnswer.ask;
  }

  /** The shared limiter says whether, and when not, after how many ms. Silence leaves it to this process's own bucket. */
  answered(call: CallState, slot: number, result: unknown, now: number): GateAnswer {
    const key = call.memory[slot] as string;
    const answer = result as { allowed?: unknown; waitMs?: unknown } | null;
    if (answer?.allowed === true) return this.#verdict(call, key, 0);
    if (answer?.allowed === false) {
      return this.#verdict(call, key, typeof answer.waitMs === "number" ? answer.waitMs : this.#limiter.perMs);
    }
    return this.#take(call, key, now);
  }

  #take(call: CallState, key: string, now: number): GateAnswer {
    return this.#verdict(call, key, call.tape.read(this.#limiter.buckets.take(key, now)));
  }

  #verdict(call: CallState, key: string, waitMs: number): GateAnswer {
    const note = call.decision.note(this, waitMs > 0 ? "denied" : "ok");
    note.a = waitMs;
    note.text = key;
    if (waitMs <= 0) return GateAnswer.pass;
    const { name, requests, perMs } = this.#limiter;
    const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
    const message = `rate limit ${name}: over ${requests} in ${ms(perMs)}; try again in ${ms(waitMs)}`;
    call.response = errorAnswer("resource_exhausted", 429, "RATE_LIMITED", message, true, ["retry-after", seconds]);
    return GateAnswer.respond;
  }

  describe({ a: waitMs, text: key, verdict }: GateNote): Pick<DecisionStep, "text" | "values"> {
    const { name, requests, perMs } = this.#limiter;
    const rate = `${requests} in ${ms(perMs)}`;
    if (verdict === "ok") return { text: `${name}: ${rate}`, values: {} };
    const who = key === "" ? "" : ` for ${key}`;
    return { text: `${name}: over ${rate}${who}; next in ${ms(waitMs)}`, values: { waitMs } };
  }

  nearest({ a: waitMs }: GateNote): string {
    return `would have passed ${ms(waitMs)} later, or with a higher rate or burst in ${this.source}`;
  }
}

/** How long the shared limiter may take to answer. */
const QUERY_MS = 50;
