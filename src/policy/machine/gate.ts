import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import type { CallState } from "./call-state.ts";

/**
 * One thing that a call must pass before it is sent anywhere: admission, authentication, authorization, a rate limit, a fault, a cache.
 * Compiled into plans (machine/gates.ts): a plan without any costs nothing. A gate is shared by all calls; what it wants to keep of one call
 * it keeps in `call.memory[slot]`.
 *
 *                enter                 answered / resumed
 *     (before) ---------> pass | respond        ^
 *                 \-----> ask ----- query ------+     call.query, call.queryMs; null when it failed or took longer
 *                 \-----> wait ---- call.waitMs +
 *
 *     G1  Gates are entered in the order of the plan, each once; the next when the one before has passed.
 *     G2  `left` is called once for each gate that was entered, in reverse, when the call ends whichever way.
 *     G3  A gate reads state and randomness only through call.tape or writes what it read into its note, so that the record holds it.
 *
 * To stop a call a gate sets `call.response` and gives GateAnswer.respond. Besides, a gate may set `call.principal`, `call.priority`, and add fields with
 * `call.addRequestField`, `call.removeRequestField` and `call.addResponseField`.
 */
export interface Gate {
  /** The label in explanations: "limit", "authorize". */
  readonly rule: string;
  /** What it comes from: "RateLimit orders", or "the default". */
  readonly source: string;
  /** Also for a call that a gate wants for its own sake (CallContext.refresh), which passes no gate before the first such one. */
  readonly refreshes?: boolean;
  enter(call: CallState, slot: number, now: number): GateAnswer;
  /** The answer to `call.query`; null when there was none in time. Only for gates that ask. */
  answered?(call: CallState, slot: number, result: unknown, now: number): GateAnswer;
  /** `call.waitMs` are over. Only for gates that wait. */
  resumed?(call: CallState, slot: number, now: number): GateAnswer;
  /**
   * The response head of an attempt that would now be delivered; `grpcStatus` is -1 unless a gRPC head says it. `respond` delivers `call.response`
   * in its place (the attempt is cancelled). A gate may set `call.store` here, to be given the response's body.
   */
  headed?(
    call: CallState,
    slot: number,
    status: number,
    grpcStatus: number,
    fields: readonly string[],
    now: number,
  ): GateAnswer;
  /** No attempt can answer; `call.failure` is what would be said. `respond` says `call.response` instead. */
  failing?(call: CallState, slot: number, now: number): GateAnswer;
  /** The call is over; `call.decision.outcome` and `durationMs` are set. */
  left?(call: CallState, slot: number, now: number): void;
  /** What it did, of its notes: only called when somebody reads. */
  describe(note: GateNote): Pick<DecisionStep, "text" | "values">;
  /** What would have turned a refusal round; "" when unknown. */
  nearest?(note: GateNote): string;
}

export const GateAnswer = { pass: 0, respond: 1, ask: 2, wait: 3 } as const;
export type GateAnswer = (typeof GateAnswer)[keyof typeof GateAnswer];
