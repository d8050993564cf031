import { counted } from "../../core/counted.ts";
import type { DecisionStep, Place } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import { bindingAhead } from "../machine/backend-choice.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import type { AdaptiveLimit } from "./adaptive-limit.ts";
import type { ConcurrencyAlgorithm } from "./concurrency-field.ts";

/** The adaptive limits of calls in flight of the backends that the call may go to; at the server, of the service itself. */
export function adaptiveGates({ place, rule, policies, keeper }: GateContext): Gate[] {
  const states = policies.map((policy, i): AdaptiveState | null => {
    const { concurrency } = policy;
    if (concurrency === null || !holdsAt(concurrency.enforcedBy, place)) return null;
    const { service, version } = rule.backends[i];
    const name = version === "" || place === "server" ? service : `${service}@${version}`;
    return keeper.process.adaptive(name, place === "server", policy.sources.concurrency ?? "the default", concurrency);
  });
  return states.some((state) => state !== null) ? [new AdaptiveGate(states, place)] : [];
}

function holdsAt(by: "server" | "caller" | "both", place: Place): boolean {
  return by === "both" || (place === "server") === (by === "server");
}

/** One adaptive limit with the calls that it counts. */
export interface AdaptiveState {
  /** "orders", "orders@v2" */
  readonly name: string;
  readonly source: string;
  readonly algorithm: ConcurrencyAlgorithm;
  readonly limit: AdaptiveLimit;
  /** The limit as it was last read, for metrics. */
  current: number;
  inFlight: number;
  refused: number;
}

/**
 * Lets as many calls be in flight as the limit of their backend finds right, and tells it what became of them. Of the call it keeps the number in flight
 * when it began, and whose it is.
 *
 * Note: a = in flight when it came; b = the limit; text = the backend; detail = its state.
 */
class AdaptiveGate implements Gate {
  readonly rule = "concurrency";
  readonly source: string;
  /** By the plan's bindings. */
  readonly #states: readonly (AdaptiveState | null)[];
  readonly #place: Place;

  constructor(states: readonly (AdaptiveState | null)[], place: Place) {
    this.#states = states;
    this.#place = place;
    this.source = states.find((state) => state !== null)?.source ?? "";
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const state = this.#stateOf(call);
    if (state === null) return GateAnswer.pass;
    const inFlight = call.tape.read(state.inFlight);
    const limit = call.tape.read(state.limit.limitAt(inFlight, now));
    state.current = limit;
    const note = call.decision.note(this, inFlight < limit ? "ok" : "denied");
    note.a = inFlight;
    note.b = limit;
    note.text = state.name;
    note.detail = state;
    if (inFlight < limit) {
      state.inFlight++;
      call.memory[slot] = state.inFlight;
      return GateAnswer.pass;
    }
    state.refused++;
    const message = `${state.name} has ${counted(inFlight, "call")} in flight, as many as it can take now`;
    call.response = errorAnswer("unavailable", 503, "CONCURRENCY_LIMIT", message, true);
    return GateAnswer.respond;
  }

  left(call: CallState, slot: number, now: number): void {
    const began = call.memory[slot];
    if (typeof began !== "number") return;
    const state = this.#stateOf(call);
    if (state === null) return;
    state.inFlight--;
    const rttMs = this.#rttOf(call);
    const dropped = isDropped(call, now);
    // What ended otherwise, cancelled by its caller or refused for its contents, says nothing of capacity.
    if (rttMs > 0 && (dropped || succeeded(call))) state.limit.sample(rttMs, began, dropped, call.shared.random, now);
  }

  #stateOf(call: CallState): AdaptiveState | null {
    if (this.#states.length === 1) return this.#states[0];
    const { bindings } = call.plan as NonNullable<CallState["plan"]>;
    const binding = bindingAhead(call);
    return binding === null ? null : (this.#states[bindings.indexOf(binding)] ?? null);
  }

  /** How long the service took; 0 when that cannot be said: a stream lasts as long as it likes, and what was retried took several times. */
  #rttOf({ caller, decision, plan }: CallState): number {
    const { method } = plan as NonNullable<CallState["plan"]>;
    if (method === null ? caller.streams : method.clientStreaming || method.serverStreaming) return 0;
    if (this.#place === "server") return Math.max(decision.durationMs, MIN_RTT_MS);
    if (decision.attempts.length !== 1) return 0;
    return Math.max(decision.attempts[0].durationMs, MIN_RTT_MS);
  }

  describe({ a: inFlight, b: limit, text: name, detail }: GateNote): Pick<DecisionStep, "text" | "values"> {
    const { algorithm } = detail as AdaptiveState;
    if (limit === Number.POSITIVE_INFINITY)
      return { text: `${name}: ${inFlight} in flight, no limit now (${algorithm})`, values: { inFlight } };
    return { text: `${name}: ${inFlight} in flight of at most ${limit} (${algorithm})`, values: { inFlight, limit } };
  }

  nearest({ a: inFlight, b: limit }: GateNote): string {
    return `would have passed with ${inFlight - limit + 1} fewer in flight, or with a higher concurrency.min in ${this.source}`;
  }
}

/** Timed out, or refused for want of capacity; also when its caller went away about when its deadline came: whichever of both is heard first. */
function isDropped({ caller: { deadline }, decision: { outcome, startedAt } }: CallState, now: number): boolean {
  const { grpcStatus, reason, status } = outcome;
  if (reason === "CANCELLED") return now >= deadline - (deadline - startedAt) / 10;
  if (grpcStatus >= 0) return grpcStatus === 4 || grpcStatus === 8 || grpcStatus === 14;
  return status === 503 || status === 504 || status === 429;
}

function succeeded({ decision: { outcome } }: CallState): boolean {
  return outcome.grpcStatus >= 0 ? outcome.grpcStatus === 0 : outcome.status < 400;
}

/** Below it a clock says nothing. */
const MIN_RTT_MS = 0.01;
