import type { CallContext } from "../call.ts";
import { Level } from "../resource/level.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import type { CallState } from "./call-state.ts";
import type { RequestFacts } from "./request-facts.ts";

/**
 * How long a call may take. The hard limit ends it wherever it is; the soft one holds only until its answer begins.
 *
 *     caller's deadline                                         hard
 *     policy's time-out   unary, or written for the method      hard, from begin
 *                         may stream, HTTP                      soft, from the request's end
 *                         session                               soft, from begin to the switch
 *                         may stream, gRPC                      none: its head may come with the first message, whenever that is
 *
 * Beside them: perTryTimeout limits each attempt until its answer begins, idleTimeout the silence on both sides, streams and sessions too.
 */
export function setTimeLimits(state: CallState, now: number): void {
  const { decision } = state;
  const { policy } = state.binding as Binding;
  const { deadline: callerAt } = state.context as CallContext;
  state.hardAt = callerAt;
  decision.deadlineOfCaller = callerAt !== Number.POSITIVE_INFINITY;
  if (policy.timeout !== Number.POSITIVE_INFINITY) {
    if (timesCall(state)) {
      const end = decision.startedAt + policy.timeout;
      if (end < state.hardAt) {
        state.hardAt = end;
        decision.deadlineOfCaller = false;
      }
    } else if (timesAnswer(state) && (state.requestEnded || (state.facts as RequestFacts).session)) {
      state.softAt = now + policy.timeout;
      decision.answerTimed = true;
      if (state.softAt < state.hardAt) decision.deadlineOfCaller = false;
    }
  }
  decision.deadline = Math.min(state.hardAt, state.softAt);
}

/** The request has ended: from now on its answer is awaited. */
export function limitAnswer(state: CallState, now: number): void {
  if (!timesAnswer(state)) return;
  const { timeout: timeoutMs } = (state.binding as Binding).policy;
  if (timeoutMs === Number.POSITIVE_INFINITY || state.softAt !== Number.POSITIVE_INFINITY) return;
  state.softAt = now + timeoutMs;
  state.decision.answerTimed = true;
  if (state.softAt >= state.hardAt) return;
  state.decision.deadline = state.softAt;
  state.decision.deadlineOfCaller = false;
  state.timers.startDeadline(timeoutMs);
}

/** The answer has begun: what is left is the hard limit, if there is one. */
export function answerBegan(state: CallState, now: number): void {
  if (state.softAt === Number.POSITIVE_INFINITY) return;
  state.softAt = Number.POSITIVE_INFINITY;
  const { decision, hardAt, timers } = state;
  if (decision.deadline === hardAt) return;
  decision.deadline = hardAt;
  decision.deadlineOfCaller = true;
  if (hardAt !== Number.POSITIVE_INFINITY) timers.startDeadline(hardAt - now);
  else timers.stopDeadline();
}

/** An attempt was begun: from now on something must move. Cheap while it does: bytes only leave their time (`activeAt`), the timer looks at it. */
export function watchSilence(state: CallState, now: number): void {
  const { idleTimeout } = (state.binding as Binding).policy;
  if (idleTimeout === Number.POSITIVE_INFINITY) return;
  state.activeAt = now;
  if (!state.timers.idleRuns) state.timers.startIdle(idleTimeout);
}

/** Known to be one message each way. */
export function isUnary({ method }: Plan): boolean {
  return method !== null && !method.clientStreaming && !method.serverStreaming;
}

function timesCall({ facts, plan, binding }: CallState): boolean {
  if ((facts as RequestFacts).session) return false;
  return isUnary(plan as Plan) || (binding as Binding).policy.timeoutLevel >= Level.method;
}

function timesAnswer(state: CallState): boolean {
  const { session, grpc } = state.facts as RequestFacts;
  return session || (!timesCall(state) && !grpc);
}
