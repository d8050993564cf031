import type { CallContext } from "../call.ts";
import { AttemptKind } from "../decision/attempt-kind.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import type { Attempt } from "./attempt.ts";
import { cancelOthers, openAttempt } from "./attempts.ts";
import type { CallState } from "./call-state.ts";
import type { RequestFacts } from "./request-facts.ts";

/*
 * Further attempts while one is under way (gRFC A6, "Hedging policy"): made when the one before has not answered for a while, or has failed in a way that
 * need not be the end. Whichever answers well first is delivered, the others are cancelled. Hedges are paid for by a budget of their own.
 */

/** An attempt was begun: starts the wait for the next hedge, when policy wants one and the call may have one. */
export function armHedge(state: CallState, now: number): void {
  const { hedge, retry } = (state.binding as Binding).policy;
  if (hedge === null || state.hedges >= hedge.max || state.standby || state.hedgingOver) return;
  const { session, idempotent } = state.facts as RequestFacts;
  if ((state.context as CallContext).callerAttempt > 0 || session) return;
  const { decision } = state;
  if (!idempotent && !hedge.nonIdempotent && !retry.nonIdempotent) {
    decision.hedgeStop = "not-idempotent";
    return;
  }
  let delayMs = hedge.afterMs;
  if (delayMs < 0) {
    const { latency } = state.binding as Binding;
    delayMs = state.tape.read(latency?.quantile(hedge.quantile, now) ?? -1);
    if (delayMs < 0) {
      decision.hedgeStop = "unknown";
      return;
    }
    delayMs = Math.max(delayMs, hedge.notBeforeMs);
  }
  decision.hedgeAfterMs = delayMs;
  if (now + delayMs < decision.deadline) state.timers.startHedge(delayMs);
}

/** Makes a hedge if one may be made now; `decision.hedgeStop` says why not. */
export function makeHedge(state: CallState, now: number): void {
  const { decision, tape } = state;
  const { policy, breaker, hedgeBudget, counters } = state.binding as Binding;
  if (policy.hedge === null || hedgeBudget === null || state.hedges >= policy.hedge.max || state.hedgingOver) return;
  decision.hedgeStop = "";
  if (state.requestBytes > 0 && !state.replayable) decision.hedgeStop = "body";
  else if (breaker !== null && tape.read(Number(breaker.state === "closed")) === 0) decision.hedgeStop = "breaker";
  else if (tape.read(Number(hedgeBudget.withdraw())) === 0) {
    decision.hedgeStop = "budget";
    counters.hedgesRefused++;
  }
  if (decision.hedgeStop !== "") return;
  // Where it is slow already it would only add to the queue.
  for (const { live, slot } of decision.attempts) if (live && !state.avoid.includes(slot)) state.avoid.push(slot);
  if (openAttempt(state, AttemptKind.hedge, false, now) === null) {
    hedgeBudget.refund();
    decision.hedgeStop = "no-endpoint";
    return;
  }
  state.hedges++;
  counters.hedges++;
  decision.hedgeBudgetLeft = tape.read(hedgeBudget.left);
  armHedge(state, now);
}

/** An attempt's answer is delivered: no hedge follows, no retry, and the others are not wanted any more. */
export function raceWon(state: CallState, winner: Attempt, now: number): void {
  state.timers.stopHedge();
  state.timers.stopWaiting();
  if (state.live > 1) cancelOthers(state, winner, now);
  if (winner.kind === AttemptKind.hedge) (winner.binding as Binding).counters.hedgesWon++;
}

/**
 * An attempt failed in a way that is not the end while others are under way, or will be: the next hedge goes at once, or when the server asked for it;
 * a server that asks not to retry ends hedging (gRFC A6, "Server pushback"). `askedMs`: undefined when it said nothing, -1 for not at all.
 */
export function hedgeOnFailure(state: CallState, askedMs: number | undefined, now: number): void {
  state.timers.stopHedge();
  if (askedMs === undefined) makeHedge(state, now);
  else if (askedMs < 0) state.hedgingOver = true;
  else if (now + askedMs < state.decision.deadline) state.timers.startHedge(askedMs);
}
