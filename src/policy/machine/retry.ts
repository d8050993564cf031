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
  const { policy, budget } = state.binding as Binding;
  const { retry } = policy;
  const stop = retryStop(state, matches, unprocessed);
  decision.stop = stop;
  if (stop !== "") return false;
  if (tried.status > 0) state.avoid.push(tried.slot);
  const asked = pushbackMs(fields);
  if (asked !== undefined && (asked < 0 || asked > MAX_PUSHBACK_MS)) return stopped(state, "pushback");
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
  if (state.tape.read(Number(budget.withdraw(now))) === 0) return stopped(state, "budget");
  state.retries++;
  decision.backoffMs = delayMs;
  return true;
}

/** Why there is no retry, as far as it does not depend on time: "" when there may be one. */
function retryStop(state: CallState, matches: boolean, unprocessed: boolean): RetryStop {
  const { retry } = (state.binding as Binding).policy;
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

/** A server that wants more patience than this means the caller, not a retry. */
const MAX_PUSHBACK_MS = 5_000;
