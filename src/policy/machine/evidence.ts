import type { EndpointTable } from "../balance/endpoint-table.ts";
import { EventKind } from "../resource/conditions.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import type { Attempt } from "./attempt.ts";

/*
 * What an attempt says of its endpoint (to the table: latency, failures in a row) and of its service (to the breaker: once for each attempt).
 * An endpoint that has left the table, so that its slot may be another's, is told nothing.
 */

/** The endpoint answered. */
export function sawAnswer(
  table: EndpointTable,
  { policy }: Binding,
  attempt: Attempt,
  good: boolean,
  now: number,
): void {
  const { slot } = attempt;
  if (table.generation[slot] !== attempt.generation) return;
  if (table.failures[slot] !== 0 || table.ejections[slot] !== 0) table.alive(slot);
  const latencyMs = now - attempt.startedAt;
  // A quick error must not make an endpoint look fast.
  if (good || latencyMs > table.ewmaMs[slot]) table.observe(slot, latencyMs, now, policy.balancer.decayMs);
}

/** The attempt was lost. That connections or streams ran out is no fault of the endpoint's. */
export function sawFailure(table: EndpointTable, attempt: Attempt, event: EventKind, now: number): void {
  if (event === EventKind.overflow || table.generation[attempt.slot] !== attempt.generation) return;
  table.failed(attempt.slot, event === EventKind.connect, now);
}

/** An attempt that was given up took at least so long: the balancer shall know. */
export function sawSlowness(table: EndpointTable, { policy }: Binding, attempt: Attempt, now: number): void {
  if (attempt.headAt >= 0 || table.generation[attempt.slot] !== attempt.generation) return;
  const latencyMs = now - attempt.startedAt;
  if (latencyMs > table.ewmaMs[attempt.slot]) table.observe(attempt.slot, latencyMs, now, policy.balancer.decayMs);
}

/** Tells the breaker how the attempt was answered. */
export function judgeAnswer(
  { breaker }: Binding,
  attempt: Attempt,
  status: number,
  grpcStatus: number,
  now: number,
): void {
  if (breaker === null || attempt.judged) return;
  attempt.judged = true;
  if (breaker.settings.on.hasAnswer(status, grpcStatus)) breaker.failed(attempt.probe, now);
  else breaker.succeeded(attempt.probe, now);
}

/** Tells the breaker that there was no answer, for a reason that counts only when it is the service's. */
export function judgeEvent(
  { breaker, policy }: Binding,
  attempt: Attempt,
  event: EventKind,
  ofService: boolean,
  now: number,
): void {
  if (breaker === null || attempt.judged) return;
  attempt.judged = true;
  if (ofService && policy.breaker?.on.hasEvent(event)) breaker.failed(attempt.probe, now);
  else breaker.forget(attempt.probe);
}
