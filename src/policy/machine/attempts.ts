import { Effect } from "../call.ts";
import { AttemptKind } from "../decision/attempt-kind.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import { Attempt } from "./attempt.ts";
import type { CallState } from "./call-state.ts";
import { chooseEndpoint } from "./choose-endpoint.ts";
import { sawSlowness } from "./evidence.ts";

/** Picks an endpoint, counts the attempt in flight and forwards the request. Null when no endpoint can take it. `probe`: the breaker's. */
export function openAttempt(state: CallState, kind: AttemptKind, probe: boolean, now: number): Attempt | null {
  const { decision, pool, effects } = state;
  const { table } = state.shared;
  const binding = state.binding as Binding;
  const { group, policy, budget, extras } = binding;
  const { attempts } = decision;
  const number = attempts.length + 1;
  const attempt = (pool[number - 1] ??= new Attempt());
  if (extras) binding.outliers?.sweep(table, group, state.shared.random, now);
  const slot = chooseEndpoint(state, attempt, now);
  if (slot < 0) return null;
  attempts.push(attempt);
  attempt.number = number;
  attempt.to = table.endpoints[slot];
  attempt.slot = slot;
  attempt.generation = table.generation[slot];
  attempt.binding = binding;
  attempt.kind = kind;
  attempt.live = true;
  state.live++;
  attempt.forwarded = attempt.judged = attempt.timed = attempt.secure = false;
  attempt.probe = probe;
  attempt.callStartedAt = decision.startedAt;
  attempt.startedAt = now;
  attempt.connectedAt = attempt.headAt = -1;
  attempt.status = 0;
  attempt.outcome = attempt.message = "";
  attempt.budgetSize = kind === AttemptKind.retry ? decision.budgetSize : 0;
  attempt.budgetLeft = decision.budgetLeft;
  table.inFlight[slot]++;
  table.chosen(slot, now);
  group.inFlight++;
  if (kind === AttemptKind.first || kind === AttemptKind.standby) {
    if (policy.retry.attempts > 0) budget.deposit(now);
    if (extras) binding.hedgeBudget?.deposit();
  }

  const leftMs = decision.deadline - now;
  const { perTryTimeout: perTryTimeoutMs } = policy;
  effects.push(Effect.forward, number, Math.min(perTryTimeoutMs, leftMs));
  if (state.bodyFollows && (state.requestBytes > 0 || state.requestEnded)) effects.push(Effect.replayBody, number, 0);
  if (perTryTimeoutMs < leftMs) state.timers.startTry(attempt, perTryTimeoutMs);
  return attempt;
}

/** The attempt that an event names, when it is not over. */
export function liveAttempt({ decision }: CallState, number: number): Attempt | null {
  const { attempts } = decision;
  const attempt = number >= 1 && number <= attempts.length ? attempts[number - 1] : null;
  return attempt?.live ? attempt : null;
}

/** The attempt is over: whatever counted it in flight counts it out. */
export function settle(state: CallState, attempt: Attempt, outcome: string, now: number): void {
  const { table } = state.shared;
  attempt.live = false;
  state.live--;
  attempt.endedAt = now;
  attempt.outcome = outcome;
  if (table.generation[attempt.slot] === attempt.generation) table.inFlight[attempt.slot]--;
  (attempt.binding as Binding).group.inFlight--;
  state.timers.stopTry(attempt);
}

/** One attempt's answer is delivered: the others are not wanted any more. They took at least so long, and say nothing else. */
export function cancelOthers(state: CallState, winner: Attempt, now: number): void {
  for (const attempt of state.decision.attempts) {
    if (!attempt.live || attempt === winner) continue;
    sawSlowness(state, attempt, now);
    giveUp(state, attempt, "cancelled", now);
  }
}

/** Gives up what is under way. */
export function endAttempts(state: CallState, outcome: string, now: number): void {
  if (state.live === 0) return;
  for (const attempt of state.decision.attempts) if (attempt.live) giveUp(state, attempt, outcome, now);
}

function giveUp(state: CallState, attempt: Attempt, outcome: string, now: number): void {
  if (!attempt.judged) {
    attempt.judged = true;
    (attempt.binding as Binding).breaker?.forget(attempt.probe);
  }
  settle(state, attempt, outcome, now);
  state.effects.push(Effect.cancel, attempt.number, 0);
}
