import type { CallContext, LocalResponse } from "../call.ts";
import type { FixedAnswer } from "../resilience/fallback-field.ts";
import type { FallbackKind } from "../resilience/policy-stats.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import type { CallState } from "./call-state.ts";
import { fixedAnswer } from "./local-answers.ts";
import type { RequestFacts } from "./request-facts.ts";
import { releaseRetry } from "./retry.ts";

/*
 * What answers in place of a service that fails, in this order: a gate (the cache's stale answer, see `failing` in gate.ts), a stand-by service, a fixed
 * answer. The policy's conditions say for which failures; those who call here have asked them.
 */

/** Whether the stand-by can be asked, or there is a fixed answer that this caller can read. `unprocessed`: the service certainly did nothing. */
export function canFallBack(state: CallState, unprocessed: boolean, now: number): boolean {
  state.standbyAllowed = mayAskStandby(state, unprocessed, now);
  return state.standbyAllowed || readable(state) !== null;
}

/** Turns the call to its stand-by service, when it may be asked. */
export function turnToStandby(state: CallState): boolean {
  if (!state.standbyAllowed) return false;
  const { standby } = state.binding as Binding;
  if (standby === null) return false;
  releaseRetry(state);
  state.timers.stopWaiting();
  state.timers.stopHedge();
  state.binding = standby;
  state.standby = true;
  state.standbyAllowed = false;
  state.avoid.length = 0; // slots of another service
  state.decision.standby = standby.name;
  noteFallback(state, "service");
  return true;
}

/** The policy's fixed answer. Only when canFallBack said so and the stand-by was not asked. */
export function answerFixed(state: CallState): LocalResponse {
  noteFallback(state, "static");
  const fixed = readable(state) as FixedAnswer;
  return fixedAnswer(fixed, readsGrpc(state, fixed));
}

export function noteFallback(state: CallState, kind: FallbackKind): void {
  const { decision } = state;
  decision.fallback = kind;
  if (decision.binding !== null) decision.binding.counters.fallbacks[kind]++;
}

function mayAskStandby(state: CallState, unprocessed: boolean, now: number): boolean {
  const { standby, policy } = state.binding as Binding;
  if (standby === null || state.standby || now >= state.decision.deadline) return false;
  if (state.requestBytes > 0 && !state.replayable) return false;
  // What may have been done once must not be done by another service as well.
  return unprocessed || (state.facts as RequestFacts).idempotent || policy.retry.nonIdempotent;
}

function readable(state: CallState): FixedAnswer | null {
  const fixed = state.fallback?.fixed ?? null;
  if (fixed === null) return null;
  return (readsGrpc(state, fixed) ? fixed.grpc !== null : fixed.forHttp) ? fixed : null;
}

/**
 * The caller reads gRPC itself: it is passed through. A client's shell does too, and makes its message of JSON where nothing else is written; the gateway's
 * transcoder passes HTTP on.
 */
function readsGrpc({ context, facts }: CallState, { grpc }: FixedAnswer): boolean {
  const { place, asSent } = context as CallContext;
  return (place !== "client" || grpc !== null) && asSent === null && (facts as RequestFacts).grpc;
}
