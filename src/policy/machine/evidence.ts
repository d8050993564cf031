import { httpStatusOfGrpc } from "../../core/grpc-status.ts";
import { LOAD_REPORT_FIELD } from "../balance/load-report.ts";
import type { CallDecision } from "../decision/decision.ts";
import { EventKind } from "../resource/conditions.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import type { Attempt } from "./attempt.ts";
import type { CallState } from "./call-state.ts";
import type { Tape } from "./tape.ts";

/*
 * What an attempt says of its endpoint (to the table: latency, failures in a row; to outlier detection) and of its service (to the breaker, to the estimate
 * of its latency): once for each attempt. An endpoint that has left the table, so that its slot may be another's, is told nothing.
 */

/** The endpoint answered. */
export function sawAnswer({ shared: { table } }: CallState, attempt: Attempt, good: boolean, now: number): void {
  const { slot } = attempt;
  const { policy, latency } = attempt.binding as Binding;
  const latencyMs = now - attempt.startedAt;
  if (latency !== null && good && attempt.number === 1) latency.record(latencyMs, now);
  if (table.generation[slot] !== attempt.generation) return;
  if (table.failures[slot] !== 0 || table.ejections[slot] !== 0) table.alive(slot);
  // A quick error must not make an endpoint look fast.
  const { decayMs } = policy.balancer;
  if (good || latencyMs >= table.latency(slot, now, decayMs)) table.observe(slot, latencyMs, now, decayMs);
}

/** What the endpoint says of its load, where the balancer goes by it. */
export function sawLoad(
  { shared: { table } }: CallState,
  attempt: Attempt,
  fields: readonly string[],
  now: number,
): void {
  if (!(attempt.binding as Binding).policy.balancer.wantsReports) return;
  if (table.generation[attempt.slot] !== attempt.generation) return;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i].startsWith(LOAD_REPORT_FIELD)) table.reported(attempt.slot, fields[i], fields[i + 1], now);
  }
}

/** The attempt was lost. That connections or streams ran out is no fault of the endpoint's. */
export function sawFailure({ shared: { table } }: CallState, attempt: Attempt, event: EventKind, now: number): void {
  if (event === EventKind.overflow || table.generation[attempt.slot] !== attempt.generation) return;
  table.failed(attempt.slot, event === EventKind.connect, now);
}

/** An attempt that was given up took at least so long: the balancer shall know, and the estimate by which hedges are made. */
export function sawSlowness({ shared: { table } }: CallState, attempt: Attempt, now: number): void {
  if (attempt.headAt >= 0) return;
  const { policy, latency } = attempt.binding as Binding;
  const latencyMs = now - attempt.startedAt;
  if (latency !== null && attempt.number === 1) latency.record(latencyMs, now);
  if (table.generation[attempt.slot] !== attempt.generation) return;
  // Against what is believed by now: one time-out after the other must keep the endpoint as slow as the first made it.
  const { decayMs } = policy.balancer;
  if (latencyMs >= table.latency(attempt.slot, now, decayMs)) table.observe(attempt.slot, latencyMs, now, decayMs);
}

/** The breaker refused: its state, for the record. */
export function noteBreaker(decision: CallDecision, { name, breaker }: Binding, tape: Tape, now: number): void {
  if (breaker === null) return;
  decision.breakerRefused = true;
  decision.breakerOf = name;
  decision.breakerReopensMs = tape.read(breaker.reopensInMs(now));
  const { calls, failures, slow } = breaker.counts(now);
  decision.breakerCalls = tape.read(calls);
  decision.breakerFailures = tape.read(failures);
  decision.breakerSlow = tape.read(slow);
  decision.breakerConsecutive = tape.read(breaker.consecutive);
  decision.breakerVoters = tape.read(breaker.voters(now));
}

/** Tells the breaker and outlier detection how the attempt was answered. */
export function judgeAnswer(state: CallState, attempt: Attempt, status: number, grpcStatus: number, now: number): void {
  if (attempt.judged) return;
  attempt.judged = true;
  const { breaker, outliers, group } = attempt.binding as Binding;
  if (breaker !== null) {
    const tookMs = now - attempt.startedAt;
    if (breaker.settings.on.hasAnswer(status, grpcStatus)) breaker.failed(attempt.probe, now, tookMs);
    else breaker.succeeded(attempt.probe, now, tookMs);
  }
  const { table } = state.shared;
  if (outliers === null || table.generation[attempt.slot] !== attempt.generation) return;
  // No draw of the call's own: what it decides is read by later calls, through their tapes.
  const { random } = state.shared;
  outliers.answered(table, group, attempt.slot, grpcStatus < 0 ? status : httpStatusOfGrpc(grpcStatus), random, now);
}

/**
 * Tells the breaker that there was no answer, for a reason that counts only when it is the service's, and outlier detection, unless it was the caller who
 * had too little time or this process that had no room.
 */
export function judgeEvent(
  state: CallState,
  attempt: Attempt,
  event: EventKind,
  ofService: boolean,
  now: number,
): void {
  if (attempt.judged) return;
  attempt.judged = true;
  const { breaker, outliers, group } = attempt.binding as Binding;
  if (breaker !== null) {
    if (ofService && breaker.settings.on.hasEvent(event)) breaker.failed(attempt.probe, now, now - attempt.startedAt);
    else breaker.forget(attempt.probe);
  }
  const { table } = state.shared;
  if (outliers === null || table.generation[attempt.slot] !== attempt.generation) return;
  const timeout = event === EventKind.timeout;
  if (event === EventKind.overflow || (timeout && !ofService)) return;
  outliers.lost(table, group, attempt.slot, timeout, state.shared.random, now);
}
