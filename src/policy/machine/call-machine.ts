import { anotherInRotation } from "../balance/balancer.ts";
import {
  type AttemptFailure,
  type Call,
  type CallContext,
  type CallRequest,
  Effect,
  type LocalResponse,
} from "../call.ts";
import { AttemptKind } from "../decision/attempt-kind.ts";
import type { DecisionJournal } from "../decision/journal.ts";
import { errorAnswer } from "../error-answer.ts";
import { Admission } from "../resilience/breaker.ts";
import { EVENT_NAMES, EventKind } from "../resource/conditions.ts";
import { ms } from "../resource/duration.ts";
import { SessionRequest } from "../route/session-request.ts";
import type { RuntimeState } from "../snapshot/runtime-state.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import { type Attempt, answerOutcome } from "./attempt.ts";
import { cancelOthers, endAttempts, liveAttempt, openAttempt, settle } from "./attempts.ts";
import { bindingAhead, sendMirrors } from "./backend-choice.ts";
import { CallState } from "./call-state.ts";
import { TIMER_DEADLINE, TIMER_HEDGE, TIMER_IDLE, TIMER_TRY, TIMER_WAIT } from "./call-timers.ts";
import { crossOrigin } from "./cross-origin.ts";
import { countEdge } from "./edge.ts";
import { judgeAnswer, judgeEvent, noteBreaker, sawAnswer, sawFailure, sawLoad, sawSlowness } from "./evidence.ts";
import { answerFixed, canFallBack, noteFallback, turnToStandby } from "./fall-back.ts";
import { GatePassage } from "./gate-passage.ts";
import { GRPC_UNKNOWN, grpcNumber, grpcStatusOf } from "./grpc-status.ts";
import { armHedge, hedgeOnFailure, makeHedge, raceWon } from "./hedging.ts";
import * as answers from "./local-answers.ts";
import { Phase } from "./phase.ts";
import { explainable, FAULT_FIELD, factsOf, type RequestFacts } from "./request-facts.ts";
import { askedMs, mayRetry, releaseRetry } from "./retry.ts";
import { giveSession } from "./session-choice.ts";
import type { Tape } from "./tape.ts";
import { answerBegan, isUnary, limitAnswer, setTimeLimits, watchSilence } from "./time-limits.ts";
import { saysUnreached, UNREACHED, UNREACHED_FIELD } from "./unreached.ts";

/**
 * The call machine: one call from its request's head to its end. call.ts says what its events and effects mean.
 *
 *     begin -> route -> redirect -> gates (may wait, or ask a query) -> split -> mirror -> deadline
 *                                                                                              |
 *        +---------------------------------- retry, at once or after a back-off <--------------+--+
 *        v                                                                                        |
 *     breaker -> pick an endpoint -> forward -> [trying] --failed, or an answer to retry----------+
 *        | refused   | none           ^            | answer              | no retry: budget, deadline, attempts...
 *        |           |                | hedge: another attempt beside it |
 *        v           v                             v                     v
 *     fail: stale answer, stand-by service,     deliver -> [committed or session] -> end, or abort -> end
 *           fixed answer or error -> end           (the other attempts are cancelled)
 *
 * This file is the path; above 400 lines because a call's path has that many turns, and is read in one go. What the steps do is in request-facts.ts,
 * gates.ts, backend-choice.ts, time-limits.ts, attempts.ts, retry.ts, hedging.ts, evidence.ts (of endpoints and services) and local-answers.ts; what the
 * shell pulls in call-effects.ts.
 *
 *     C1  `end` is the last effect, and comes exactly once.
 *     C2  A call is answered exactly once: by respond, or by deliver (perhaps followed by abort), or not at all when its caller went away.
 *     C3  After deliver there is no forward.
 *     C4  deliver, cancel and replayBody name attempts that were forwarded; one attempt is cancelled at most once.
 *     C5  At most 1 + retry.attempts + hedge.max attempts are made, and one at a stand-by service; retries and hedges never exceed their budgets.
 *     C6  What is not idempotent is sent again only when the server certainly did not act, or when policy says so.
 *     C7  A call does not go back to an endpoint that failed it while another is in rotation.
 *     C8  Every attempt that was counted in flight is counted out when it ends, whichever way.
 *     C9  Every timer that was started and did not fire is cancelled before `end`.
 *     C10 No attempt begins after the deadline.
 *     C11 While an attempt is under way, or a retry is waited for, the failure of another ends nothing. Once one is delivered no other is live.
 */
export class CallMachine extends GatePassage implements Call {
  // state
  ended = false;
  private delivered: Attempt | null = null;
  private acceptedStatus = 0;

  constructor(shared: RuntimeState) {
    super(new CallState(shared));
  }

  /** For recordings. */
  get tape(): Tape {
    return this.state.tape;
  }

  get committed(): boolean {
    return this.state.committed;
  }

  get replayable(): boolean {
    return this.state.replayable;
  }

  /** The decision goes to the journal. Only after the end, before reset. */
  remember(journal: DecisionJournal): void {
    this.state.exchangeDecision(journal);
    this.decision = this.state.decision;
  }

  /** Makes it as new. */
  reset(): void {
    this.ended = false;
    this.delivered = null;
    this.resetPassage();
    this.resetEffects();
    this.state.reset();
  }

  // === from begin to the first attempt ==========================================================================

  begin(request: CallRequest, context: CallContext, bodyFollows: boolean, now: number): void {
    if (this.phase !== Phase.idle) return;
    const { state, decision } = this;
    const { snapshot, revision, endpointVersion } = state.shared;
    const facts = factsOf(snapshot, request, context);
    state.request = request;
    state.context = context;
    state.facts = facts;
    if (facts.asksFaults) state.removeRequestField(FAULT_FIELD);
    state.bodyFollows = bodyFollows;
    state.requestEnded = !bodyFollows;
    decision.requestId = context.requestId;
    decision.place = context.place;
    decision.rest = context.asSent !== null;
    decision.revision = revision;
    decision.endpointVersion = endpointVersion;
    decision.startedAt = now;
    if (facts.match === null) {
      const sent = context.asSent ?? request;
      decision.snapshot = snapshot;
      const host = sent instanceof SessionRequest ? "" : sent.authority;
      decision.request = `${sent.method} ${host}${sent.path.split("?", 1)[0]}`;
      this.respond(answers.noRouteAnswer(sent, facts), now);
      return;
    }
    const { plan } = facts.match;
    state.plan = decision.plan = plan;
    decision.route = plan.rule.text;
    if (plan.rule.cors !== null) {
      const response = crossOrigin(state, plan.rule.cors);
      if (response !== null) {
        this.respond(response, now);
        return;
      }
    }
    if (plan.rule.redirect !== null) this.respond(answers.redirectAnswer(context.asSent ?? request, facts), now);
    else if (plan.gates.length === 0) this.passed(now);
    else {
      decision.deadline = context.deadline;
      decision.deadlineOfCaller = true;
      if (context.refresh === true) this.skipToRefresh();
      this.passGates(now);
    }
  }

  /** Past all gates. */
  protected passed(now: number): void {
    const { local } = this.state.shared;
    if (this.state.caller.place !== "server") this.route(now);
    else if (local !== null) this.goOn(local, now);
    else {
      this.phase = Phase.accepted;
      this.effects.push(Effect.accept, 0, 0);
    }
  }

  /** To the application beside a sidecar, once. */
  private goOn(local: Binding, now: number): void {
    const { state, decision } = this;
    state.binding = decision.binding = local;
    decision.service = onlyService(state.plan as Plan);
    state.replayable = false;
    this.tryFirst(now);
  }

  /** Chooses the backend, sends copies, sets the time limits, makes the first attempt. */
  private route(now: number): void {
    const { state, decision } = this;
    const plan = state.plan as Plan;
    const binding = bindingAhead(state);
    if (binding === null) {
      this.respond(answers.noBackendAnswer(plan), now);
      return;
    }
    state.binding = decision.binding = binding;
    decision.service = binding.group.service;
    if (plan.mirrors.length > 0) sendMirrors(state, now);
    const { retry, hedge, fallback } = binding.policy;
    state.fallback = fallback;
    const mayRepeat = (retry.attempts > 0 || hedge !== null) && state.caller.callerAttempt === 0;
    state.replayable = (mayRepeat || binding.standby !== null) && state.requestBytes <= retry.bufferBytes;
    this.tryFirst(now);
  }

  private tryFirst(now: number): void {
    const { state, decision } = this;
    setTimeLimits(state, now);
    if (decision.deadline <= now) this.deadlinePassed(now);
    else {
      if (decision.deadline !== Number.POSITIVE_INFINITY) this.timers.startDeadline(decision.deadline - now);
      this.tryOnce(AttemptKind.first, now);
    }
  }

  // === attempts =================================================================================================

  /** The loop's head: breaker, endpoint, forward. */
  private tryOnce(kind: AttemptKind, now: number): void {
    const { state, decision } = this;
    const binding = state.binding as Binding;
    const { breaker } = binding;
    const admission = breaker === null ? Admission.pass : (state.tape.read(breaker.admit(now)) as Admission);
    if (breaker !== null && admission === Admission.reject) {
      noteBreaker(decision, binding, state.tape, now);
      this.fail(EventKind.breakerOpen, answers.breakerAnswer(binding, decision.breakerReopensMs), true, now);
      return;
    }
    const probe = admission === Admission.probe;
    if (openAttempt(state, kind, probe, now) === null) {
      breaker?.forget(probe);
      if (state.live === 0) this.noEndpoint(binding, now);
      return;
    }
    this.phase = Phase.trying;
    if (binding.extras) {
      armHedge(state, now);
      watchSilence(state, now);
    }
  }

  private noEndpoint(binding: Binding, now: number): void {
    const { decision } = this;
    let known = 0;
    for (const _slot of this.state.shared.table.slotsOf(binding.group.service)) known++;
    decision.known = this.state.tape.read(known);
    // The attempt that was not made: what its balancer had to choose from.
    const { candidates, subset, subsetFallback } = this.state.pool[decision.attempts.length];
    const overflow = candidates > 0;
    if (subsetFallback !== "") decision.subset = subset;
    decision.noEndpoint = overflow ? "overflow" : "unhealthy";
    const failure = overflow ? answers.overflowAnswer(binding) : answers.noEndpointAnswer(binding, decision.known);
    this.fail(overflow ? EventKind.overflow : EventKind.noEndpoint, failure, true, now);
  }

  connected(attempt: number, now: number, secure = false): void {
    const tried = liveAttempt(this.state, attempt);
    if (tried === null) return;
    tried.connectedAt = now;
    tried.secure = secure;
  }

  head(attempt: number, status: number, fields: readonly string[], fin: boolean, now: number): void {
    const { state } = this;
    if (this.phase === Phase.accepted) {
      this.acceptedStatus = status;
      if (fin) this.finish(status, this.isGrpc() ? grpcStatusOf(fields, status) : -1, "", now);
      return;
    }
    const tried = liveAttempt(state, attempt);
    if (tried === null || tried.headAt >= 0) return;
    const facts = state.facts as RequestFacts;
    const binding = state.binding as Binding;
    const { retry, hedge } = binding.policy;
    tried.headAt = state.activeAt = now;
    tried.status = status;
    const grpcStatus = facts.grpc && fin ? grpcStatusOf(fields, status) : -1;
    const good = grpcStatus < 0 ? status < 400 : grpcStatus === 0;
    if (!good && !state.committed && saysUnreached(fields)) {
      if (!fin) this.effects.push(Effect.cancel, tried.number, 0);
      return this.failed(attempt, UNREACHED, now);
    }
    sawAnswer(state, tried, good, now);
    sawLoad(state, tried, fields, now);
    if (!good && !state.committed) {
      const retried = retry.on.hasAnswer(status, grpcStatus);
      if (this.othersPending(tried)) {
        if (hedge?.nonFatal?.hasAnswer(status, grpcStatus) ?? retried) {
          this.discard(tried, grpcStatus, fin, now);
          hedgeOnFailure(state, askedMs(state, fields, now), now);
          return;
        }
      } else if (mayRetry(state, tried, retried, false, fields, now)) {
        this.discard(tried, grpcStatus, fin, now);
        this.retryAfter(now);
        return;
      }
    }
    if ((state.plan as Plan).watched && this.gateAnswersHead(status, grpcStatus, fields, now)) {
      this.discard(tried, grpcStatus, fin, now);
      this.respond(state.response as LocalResponse, now);
      return;
    }
    if (
      !good &&
      !state.committed &&
      state.fallback?.on.hasAnswer(status, grpcStatus) &&
      canFallBack(state, false, now)
    ) {
      this.discard(tried, grpcStatus, fin, now);
      this.fallBack(now);
      return;
    }
    // What follows a gRPC head decides about a unary call; anything else is judged by its head.
    if (!facts.grpc || fin || !isUnary(state.plan as Plan)) judgeAnswer(state, tried, status, grpcStatus, now);
    this.commit(tried, facts.session && (status === 101 || (status >= 200 && status < 300)), now);
    if (fin) this.complete(tried, facts.grpc ? grpcStatus : -1, now);
  }

  failed(attempt: number, failure: AttemptFailure, now: number): void {
    const { state } = this;
    const tried = liveAttempt(state, attempt);
    if (tried === null) return;
    const { kind, unprocessed, message } = failure;
    const event = EventKind[kind];
    const { table } = state.shared;
    const binding = tried.binding as Binding;
    tried.message = message;
    settle(state, tried, EVENT_NAMES[event], now);
    sawFailure(state, tried, event, now);
    state.avoid.push(tried.slot);
    // A lost connection says something of one endpoint; of the service only when no other is in rotation.
    const { subset } = binding.policy.balancer;
    const alone = subset !== null && tried.candidates <= 1;
    const others = state.tape.read(Number(!alone && anotherInRotation(table, binding.group, state.avoid, now))) === 1;
    judgeEvent(state, tried, event, !others, now);
    if (state.committed) {
      if (tried !== this.delivered) return;
      this.abortDelivery(errorAnswer("unavailable", 502, "UPSTREAM_LOST", `the answer broke off: ${message}`), now);
      return;
    }
    const { retry } = binding.policy;
    if (this.othersPending(tried)) hedgeOnFailure(state, undefined, now);
    else if (mayRetry(state, tried, retry.on.hasEvent(event), unprocessed, NO_FIELDS, now, others, event)) {
      this.retryAfter(now);
    } else this.conclude(event, message, unprocessed, now);
  }

  /** The attempt took too long. Unless it is given up (Envoy's hedge_on_per_try_timeout), it goes on beside what follows. */
  private tryTimedOut(tried: Attempt, message: string, mayGoOn: boolean, now: number): void {
    const { state } = this;
    const { retry, hedge } = (state.binding as Binding).policy;
    const goesOn = mayGoOn && hedge?.onTryTimeout === true;
    sawSlowness(state, tried, now);
    judgeEvent(state, tried, EventKind.timeout, true, now);
    if (!goesOn) {
      settle(state, tried, "timeout", now);
      this.effects.push(Effect.cancel, tried.number, 0);
    }
    state.avoid.push(tried.slot);
    if (this.othersPending(tried)) {
      if (!goesOn) hedgeOnFailure(state, undefined, now);
    } else if (mayRetry(state, tried, retry.on.hasEvent(EventKind.timeout), false, NO_FIELDS, now)) {
      if (goesOn) this.tryOnce(AttemptKind.retry, now);
      else this.retryAfter(now);
    } else if (!goesOn) this.conclude(EventKind.timeout, message, false, now);
  }

  /** Whether more may come of this call than of this attempt. */
  private othersPending({ live }: Attempt): boolean {
    return this.state.live > (live ? 1 : 0) || this.phase === Phase.waiting;
  }

  /** An answer that its caller will not see. */
  private discard(tried: Attempt, grpcStatus: number, fin: boolean, now: number): void {
    judgeAnswer(this.state, tried, tried.status, grpcStatus, now);
    settle(this.state, tried, answerOutcome(tried.status, grpcStatus), now);
    if (!fin) this.effects.push(Effect.cancel, tried.number, 0);
  }

  private retryAfter(now: number): void {
    const delayMs = this.decision.backoffMs;
    this.timers.stopHedge();
    if (delayMs <= 0) {
      this.tryOnce(AttemptKind.retry, now);
      return;
    }
    this.phase = Phase.waiting;
    this.timers.startWaiting(delayMs);
  }

  // === the answer ===============================================================================================

  private commit(tried: Attempt, session: boolean, now: number): void {
    const { state } = this;
    state.committed = true;
    state.replayable = false;
    this.delivered = tried;
    this.decision.carries = session;
    this.phase = session ? Phase.session : Phase.committed;
    this.effects.push(Effect.deliver, tried.number, 0);
    this.timers.stopTry(tried);
    if ((tried.binding as Binding).extras) raceWon(state, tried, now);
    if ((state.plan as Plan).rule.session !== null) giveSession(state, tried, now);
    answerBegan(state, now);
  }

  responseData(attempt: number, _bytes: number, fin: boolean, now: number): void {
    this.state.activeAt = now;
    if (!fin || this.phase === Phase.session) return;
    if (this.phase === Phase.accepted) {
      this.finish(this.acceptedStatus, this.isGrpc() ? GRPC_UNKNOWN : -1, "", now);
      return;
    }
    const tried = liveAttempt(this.state, attempt);
    if (tried === null || tried !== this.delivered) return;
    // gRPC ends with trailers; without them its outcome is unknown.
    this.judgeAndComplete(tried, this.isGrpc() && tried.status === 200 ? GRPC_UNKNOWN : -1, now);
  }

  trailers(attempt: number, fields: readonly string[], now: number): void {
    if (this.phase === Phase.accepted) {
      const grpcStatus = this.isGrpc() ? grpcStatusOf(fields, this.acceptedStatus) : -1;
      this.finish(this.acceptedStatus, grpcStatus, "", now);
      return;
    }
    const tried = liveAttempt(this.state, attempt);
    if (tried === null || tried !== this.delivered) return;
    sawLoad(this.state, tried, fields, now);
    this.judgeAndComplete(tried, this.isGrpc() ? grpcStatusOf(fields, tried.status) : -1, now);
  }

  carried(toUpstream: number, toDownstream: number, now: number): void {
    this.state.activeAt = now;
    this.decision.sentBytes += toUpstream;
    this.decision.receivedBytes += toDownstream;
  }

  sessionEnd(now: number): void {
    if (this.phase !== Phase.session || this.delivered === null) return;
    this.complete(this.delivered, -1, now);
  }

  private judgeAndComplete(tried: Attempt, grpcStatus: number, now: number): void {
    judgeAnswer(this.state, tried, tried.status, grpcStatus, now);
    this.complete(tried, grpcStatus, now);
  }

  /** The delivered answer is complete. */
  private complete(tried: Attempt, grpcStatus: number, now: number): void {
    settle(this.state, tried, answerOutcome(tried.status, grpcStatus), now);
    this.finish(tried.status, grpcStatus, "", now);
  }

  // === beside the path: the caller, and time ====================================================================

  requestData(bytes: number, now: number): void {
    if (this.ended) return;
    const { state } = this;
    state.requestBytes += bytes;
    state.activeAt = now;
    const keptBytes = state.binding?.policy.retry.bufferBytes ?? KEPT_BYTES;
    if (!state.replayable || state.requestBytes <= keptBytes) return;
    state.replayable = false;
    // Nothing is sending the body now, and what came before may be forgotten: the retry that was waited for cannot be made.
    if (this.phase === Phase.waiting) {
      this.timers.stopWaiting();
      this.decision.stop = "body";
      this.phase = Phase.trying;
      if (state.live === 0) this.conclude(EventKind.reset, "", false, now);
    }
  }

  requestEnd(now: number): void {
    const { state } = this;
    if (this.ended || state.requestEnded) return;
    state.requestEnded = true;
    if (state.binding !== null && !state.committed) limitAnswer(state, now);
  }

  credit(_bytes: number, _now: number): void {}

  downstreamGone(now: number): void {
    if (this.ended || this.phase === Phase.idle) return;
    this.finish(499, this.isGrpc() ? 1 : -1, "CANCELLED", now);
  }

  timer(timerId: number, now: number): void {
    if (this.ended) return;
    const { timers } = this;
    if (timerId === TIMER_DEADLINE) {
      if (!timers.deadlineRuns) return;
      timers.deadlineRuns = false;
      this.deadlinePassed(now);
    } else if (timerId === TIMER_WAIT) {
      if (!timers.waitRuns) return;
      timers.waitRuns = false;
      if (this.phase === Phase.waiting) this.tryOnce(AttemptKind.retry, now);
      else if (this.phase === Phase.held) this.resumed(now);
      else if (this.phase === Phase.asking) {
        if (now >= this.state.caller.deadline) this.respond(answers.deadlineAnswer(this.decision), now);
        else this.answered(this.queryId, null, now);
      }
    } else if (timerId === TIMER_HEDGE) {
      if (!timers.hedgeRuns) return;
      timers.hedgeRuns = false;
      makeHedge(this.state, now);
    } else if (timerId === TIMER_IDLE) {
      if (!timers.idleRuns) return;
      timers.idleRuns = false;
      this.fellSilent(now);
    } else {
      const tried = liveAttempt(this.state, timerId - TIMER_TRY);
      if (tried === null || !tried.timed) return;
      tried.timed = false;
      const limit = (tried.binding as Binding).policy.perTryTimeout;
      this.tryTimedOut(tried, `no answer within ${ms(limit)}`, true, now);
    }
  }

  private deadlinePassed(now: number): void {
    const { state, decision } = this;
    const ofService = !decision.deadlineOfCaller && !state.committed;
    for (const attempt of decision.attempts) {
      if (!attempt.live) continue;
      sawSlowness(state, attempt, now);
      judgeEvent(state, attempt, EventKind.timeout, ofService, now);
    }
    endAttempts(state, "timeout", now);
    if (state.committed) this.abortDelivery(answers.deadlineAnswer(decision), now);
    else this.fail(EventKind.timeout, answers.deadlineAnswer(decision), false, now);
  }

  /** For so long no byte went either way, unless one did and the timer is only late. */
  private fellSilent(now: number): void {
    const { state, decision } = this;
    const { idleTimeout } = (state.binding as Binding).policy;
    if (idleTimeout === Number.POSITIVE_INFINITY) return; // of a stand-by without one
    // While nothing is under way (a back-off) nothing is silent either: the next attempt begins the time anew.
    const silentMs = state.live === 0 ? 0 : now - state.activeAt;
    if (silentMs < idleTimeout) {
      this.timers.startIdle(Math.max(1, idleTimeout - silentMs));
      return;
    }
    // Datagrams have no other way of ending.
    if (this.phase === Phase.session && state.request.method === "UDP") {
      this.sessionEnd(now);
      return;
    }
    decision.idleMs = idleTimeout;
    if (state.committed) {
      this.abortDelivery(answers.idleAnswer(decision, idleTimeout), now);
      return;
    }
    let last: Attempt | null = null;
    for (const attempt of decision.attempts) if (attempt.live) last = attempt;
    if (last === null) return;
    if (state.live > 1) cancelOthers(state, last, now);
    this.tryTimedOut(last, `no byte either way for ${ms(idleTimeout)}`, false, now);
  }

  // === the end ==================================================================================================

  /** No attempt's answer can be delivered. */
  private conclude(event: EventKind, message: string, unprocessed: boolean, now: number): void {
    const binding = this.state.binding as Binding;
    let answer = answers.upstreamAnswer(this.decision, binding, event, message, unprocessed);
    if (event === EventKind.connect && this.state.caller.place === "server")
      answer = { ...answer, fields: [...answer.fields, UNREACHED_FIELD, "1"] };
    this.fail(event, answer, unprocessed, now);
  }

  /** The call fails, unless something answers in its place: a gate (a stale answer from the cache), a stand-by service, a fixed answer. */
  private fail(event: EventKind, failure: LocalResponse, unprocessed: boolean, now: number): void {
    const { state } = this;
    if ((state.plan as Plan).watched && this.gateAnswersFailure(failure, now)) {
      noteFallback(state, "stale");
      this.respond(state.response as LocalResponse, now);
      return;
    }
    if (state.fallback?.on.hasEvent(event) && canFallBack(state, unprocessed, now)) this.fallBack(now);
    else this.respond(failure, now);
  }

  /** The policy's fallback, which can be given (canFallBack). */
  private fallBack(now: number): void {
    const { state } = this;
    if (turnToStandby(state)) this.tryOnce(AttemptKind.standby, now);
    else this.respond(answerFixed(state), now);
  }

  protected respond(response: LocalResponse, now: number): void {
    const { state, decision } = this;
    const { responseAdd } = state;
    // Whose call it would have been, for metrics and logs, where that is certain.
    if (decision.service === "" && state.plan !== null) decision.service = onlyService(state.plan);
    if (responseAdd !== null) response = { ...response, fields: [...response.fields, ...responseAdd] };
    this.response = response;
    if (state.refresh) this.effects.push(Effect.refresh, 0, 0);
    this.effects.push(Effect.respond, 0, 0);
    const { error, status } = response;
    const grpcStatus = this.isGrpc() ? (error === null ? 0 : grpcNumber(error.code)) : -1;
    this.finish(status, grpcStatus, error?.reason ?? "", now);
  }

  /** The answer that began cannot be brought to its end. */
  private abortDelivery(response: LocalResponse, now: number): void {
    this.response = response;
    this.decision.stop = "committed";
    endAttempts(this.state, "cancelled", now);
    this.effects.push(Effect.abort, 0, 0);
    const { error, status } = response;
    this.finish(status, this.isGrpc() && error !== null ? grpcNumber(error.code) : -1, error?.reason ?? "", now);
  }

  private finish(status: number, grpcStatus: number, reason: string, now: number): void {
    const { decision, state } = this;
    endAttempts(state, "cancelled", now);
    releaseRetry(state);
    this.timers.stopAll();
    this.phase = Phase.ended;
    this.ended = true;
    decision.durationMs = now - decision.startedAt;
    decision.outcome.status = status;
    decision.outcome.grpcStatus = grpcStatus;
    decision.outcome.reason = reason;
    if (state.plan?.watched) this.leaveGates(now);
    if (decision.place !== "server") countEdge(state, this.delivered);
    const { record } = state.shared;
    decision.explained = record === "all" || (record === "failed" && (decision.failed || decision.fallback !== ""));
    if (decision.explained) decision.sent = explainable(state.context?.asSent ?? state.request);
    this.effects.push(Effect.end, 0, 0);
  }

  private isGrpc(): boolean {
    return (this.state.facts as RequestFacts).grpc;
  }
}

/** Body bytes that may come before it is clear which policy holds. */
const KEPT_BYTES = 65_536;
const NO_FIELDS: readonly string[] = [];

/** The service that every backend of the rule belongs to, "" where there are several or none. */
function onlyService({ bindings }: Plan): string {
  const service = bindings[0]?.group.service ?? "";
  return bindings.every(({ group }) => group.service === service) ? service : "";
}
