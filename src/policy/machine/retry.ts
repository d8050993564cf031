import type { CallContext } from "../call.ts";
import type { RetryStop } from "../decision/decision.ts";
import { backoffMs, drawJitter, pushbackMs } from "../resilience/backoff.ts";
import { EventKind } from "../resource/conditions.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import type { Attempt } from "./attempt.ts";
import type { CallState } from "./call-state.ts";
import type { RequestFacts } from "./request-facts.ts";

/**
 * Whether another attempt follows the one that just failed. If so, after `decision.backoffMs`, and the budget has paid for it; if not,
 * `decision.stop` says why.
 *
 * `matches`: policy retries such failures. `unprocessed`: the server certainly did nothing. `fields`: of the answer, for its pushback. `others`: another
 * endpoint is in rotation. `event`: how the attempt was lost, -1 when it was answered or timed out.
 */
export function mayRetry(
  state: CallState,
  tried: Attempt,
  matches: boolean,
  unprocessed: boolean,
  fields: readonly string[],
  now: number,
  others = true,
  event: EventKind | -1 = -1,
): boolean {
  const { decision } = state;
  const { policy, budget, counters } = state.binding as Binding;
  const { retry } = policy;
  releaseRetry(state);
  const stop = retryStop(state, matches, unprocessed);
  decision.stop = stop;
  if (stop !== "") return false;
  if (tried.status > 0) state.avoid.push(tried.slot);
  const asked = askedMs(state, fields, now);
  if (asked !== undefined && asked < 0) return stopped(state, "pushback");
  // A lost attempt goes elsewhere at once, since its endpoint is at fault, not load: the first time, and while servers certainly did nothing.
  const lost = event >= 0 && event !== EventKind.protocol;
  const elsewhere = others && (unprocessed || state.retries === 0);
  const atOnce = lost && (elsewhere || (state.retries === 0 && unprocessed && event !== EventKind.connect));
  let delayMs = 0;
  if (asked !== undefined) delayMs = asked;
  else if (!atOnce) {
    decision.backoffDraw = drawJitter(retry, state.tape);
    delayMs = backoffMs(retry, state.retries + 1, decision.backoffDraw);
  }
  decision.leftMs = decision.deadline - now;
  decision.neededMs = delayMs + 1;
  if (decision.leftMs < decision.neededMs) return stopped(state, "deadline");
  decision.budgetLeft = state.tape.read(budget.left(now));
  decision.budgetSize = state.tape.read(budget.size(now));
  if (state.tape.read(Number(budget.held < policy.limits.maxRetries)) === 0) return refused(state, "max-retries");
  if (state.tape.read(Number(budget.withdraw(now))) === 0) return refused(state, "budget");
  budget.held++;
  state.retryHeld = true;
  counters.retries++;
  state.retries++;
  decision.backoffMs = delayMs;
  return true;
}

/** Why there is no retry, as far as it does not depend on time: "" when there may be one. */
function retryStop(state: CallState, matches: boolean, unprocessed: boolean): RetryStop {
  const { retry } = (state.binding as Binding).policy;
  if (state.standby) return "stand-by";
  if (retry.attempts === 0) return "off";
  if (!matches && !unprocessed) return "condition";
  if ((state.context as CallContext).callerAttempt > 0) return "caller-retries";
  if (state.retries >= retry.attempts) return "attempts";
  if (state.requestBytes > 0 && !state.replayable) return "body";
  if (!unprocessed && !retry.nonIdempotent && !(state.facts as RequestFacts).idempotent) return "not-idempotent";
  return "";
}

function stopped(state: CallState, stop: RetryStop): false {
  state.decision.stop = stop;
  return false;
}

function refused(state: CallState, stop: RetryStop): false {
  (state.binding as Binding).counters.retriesRefused++;
  return stopped(state, stop);
}

/**
 * How long the server asks to wait before it is tried again: undefined when it says nothing, -1 when it asks not to be, or for more patience than policy has
 * (which means the caller, not a retry).
 */
export function askedMs({ binding, shared }: CallState, fields: readonly string[], now: number): number | undefined {
  const { resetHeaders, maxPushbackMs } = (binding as Binding).policy.retry;
  const asked = pushbackMs(fields, resetHeaders, now + shared.wallAt);
  return asked !== undefined && asked > maxPushbackMs ? -1 : asked;
}

/** The retry that was granted last is over. */
export function releaseRetry(state: CallState): void {
  if (!state.retryHeld) return;
  state.retryHeld = false;
  (state.binding as Binding).budget.held--;
}
