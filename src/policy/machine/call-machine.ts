import type { Endpoint } from "../../core/endpoint.ts";
import { anotherInRotation } from "../balance/balancer.ts";
import {
  type AttemptFailure,
  type BodyStore,
  type Call,
  type CallContext,
  type CallRequest,
  Effect,
  type EffectKind,
  type LocalResponse,
} from "../call.ts";
import type { CallDecision } from "../decision/decision.ts";
import type { DecisionJournal } from "../decision/journal.ts";
import { Admission } from "../resilience/breaker.ts";
import { EVENT_NAMES, EventKind } from "../resource/conditions.ts";
import type { RuntimeState } from "../snapshot/runtime-state.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import { type Attempt, answerOutcome, ms } from "./attempt.ts";
import { endAttempts, liveAttempt, openAttempt, settle } from "./attempts.ts";
import { chooseBackend, sendMirrors } from "./backend-choice.ts";
import { CallState } from "./call-state.ts";
import { type CallTimers, TIMER_DEADLINE, TIMER_TRY, TIMER_WAIT } from "./call-timers.ts";
import type { EffectQueue } from "./effect-queue.ts";
import { judgeAnswer, judgeEvent, sawAnswer, sawFailure, sawSlowness } from "./evidence.ts";
import { GateAnswer } from "./gate.ts";
import { GRPC_UNKNOWN, grpcNumber, grpcStatusOf } from "./grpc-status.ts";
import * as answers from "./local-answers.ts";
import type { Query } from "./query.ts";
import { factsOf, type RequestFacts } from "./request-facts.ts";
import { mayRetry } from "./retry.ts";
import { answerBegan, isUnary, limitAnswer, setTimeLimits } from "./time-limits.ts";

/**
 * The call machine: one call from its request's head to its end. call.ts says what its events and effects mean.
 *
 *     begin -> route -> redirect -> gates (may wait, or ask a query) -> split -> mirror -> deadline
 *                                                                                              |
 *        +---------------------------------- retry, at once or after a back-off <--------------+--+
 *        v                                                                                        |
 *     breaker -> pick an endpoint -> forward -> [trying] --failed, or an answer to retry----------+
 *        | refused   | none                        | answer              | no retry: budget, deadline, attempts...
 *        v           v                             v                     v
 *     fallback or error: respond -> end         deliver -> [committed or session] -> end, or abort -> end
 *
 * This file is the path; above 400 lines because a call's path has that many turns, and is read in one go. What the steps do is in request-facts.ts,
 * gates.ts, backend-choice.ts, time-limits.ts, attempts.ts, retry.ts, evidence.ts (of endpoints and services) and local-answers.ts.
 *
 *     C1  `end` is the last effect, and comes exactly once.
 *     C2  A call is answered exactly once: by respond, or by deliver (perhaps followed by abort), or not at all when its caller went away.
 *     C3  After deliver there is no forward.
 *     C4  deliver, cancel and replayBody name attempts that were forwarded; one attempt is cancelled at most once.
 *     C5  At most 1 + retry.attempts attempts are made, and retries never exceed the budget.
 *     C6  What is not idempotent is sent again only when the server certainly did not act, or when policy says so.
 *     C7  A call does not go back to an endpoint that failed it while another is in rotation.
 *     C8  Every attempt that was counted in flight is counted out when it ends, whichever way.
 *     C9  Every timer that was started and did not fire is cancelled before `end`.
 *     C10 No attempt begins after the deadline.
 */
export class CallMachine implements Call {
  // effect parameters
  attempt = 0;
  endpoint: Endpoint | null = null;
  timeoutMs = Number.POSITIVE_INFINITY;
  addFields: readonly string[] | null = null;
  removeFields: readonly string[] | null = null;
  rewritePath = "";
  rewriteAuthority = "";
  timerId = 0;
  timerMs = 0;
  queryId = 0;
  query: Query | null = null;
  store: BodyStore | null = null;
  response: LocalResponse | null = null;
  // state
  ended = false;
  decision: CallDecision;
  private readonly state: CallState;
  private readonly timers: CallTimers;
  private readonly effects: EffectQueue;
  private phase: Phase = IDLE;
  private delivered: Attempt | null = null;
  /** The gate that the call is at; `gatesEntered` of them have been entered. */
  private gateAt = 0;
  private gatesEntered = 0;
  private acceptedStatus = 0;

  constructor(shared: RuntimeState) {
    this.state = new CallState(shared);
    this.decision = this.state.decision;
    this.timers = this.state.timers;
    this.effects = this.state.effects;
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
    this.phase = IDLE;
    this.endpoint = this.response = this.delivered = null;
    this.addFields = this.removeFields = null;
    this.gateAt = this.gatesEntered = 0;
    this.query = this.store = null;
    this.state.reset();
  }

  // === from begin to the first attempt ==========================================================================

  begin(request: CallRequest, context: CallContext, bodyFollows: boolean, now: number): void {
    if (this.phase !== IDLE) return;
    const { state, decision } = this;
    const { snapshot, endpointVersion } = state.shared;
    const facts = factsOf(snapshot, request, context);
    state.request = request;
    state.context = context;
    state.facts = facts;
    state.bodyFollows = bodyFollows;
    state.requestEnded = !bodyFollows;
    decision.requestId = context.requestId;
    decision.place = context.place;
    decision.revision = snapshot.revision;
    decision.endpointVersion = endpointVersion;
    decision.startedAt = now;
    if (facts.match === null) {
      const sent = context.asSent ?? request;
      decision.request = `${sent.method} ${sent.authority}${sent.path.split("?", 1)[0]}`;
      this.respond(answers.noRouteAnswer(sent, facts), now);
      return;
    }
    const { plan } = facts.match;
    state.plan = decision.plan = plan;
    decision.route = plan.rule.text;
    if (plan.rule.redirect !== null) this.respond(answers.redirectAnswer(context.asSent ?? request, facts), now);
    else if (plan.gates.length === 0) this.passed(now);
    else {
      decision.deadline = context.deadline;
      decision.deadlineOfCaller = true;
      this.passGates(now);
    }
  }

  private passGates(now: number): void {
    const { gates } = this.state.plan as Plan;
    while (this.gateAt < gates.length) {
      this.gatesEntered = this.gateAt + 1;
      if (!this.heard(gates[this.gateAt].enter(this.state, this.gateAt, now), now)) return;
    }
    this.passed(now);
  }

  /** What the gate said that the call is at; true when the next one is to be entered. */
  private heard(answer: GateAnswer, now: number): boolean {
    const { state } = this;
    const leftMs = state.caller.deadline - now;
    switch (answer) {
      case GateAnswer.pass:
        this.gateAt++;
        return true;
      case GateAnswer.ask:
        this.phase = ASKING;
        this.queryId++;
        this.effects.push(Effect.query, 0, 0);
        this.timers.startWaiting(Math.min(state.queryMs, leftMs));
        return false;
      case GateAnswer.wait:
        this.phase = HELD;
        this.timers.startWaiting(Math.min(state.waitMs, leftMs));
        return false;
      default:
        this.respond(state.response as LocalResponse, now);
        return false;
    }
  }

  answered(queryId: number, result: unknown, now: number): void {
    if (this.phase !== ASKING || queryId !== this.queryId) return;
    this.timers.stopWaiting();
    const gate = (this.state.plan as Plan).gates[this.gateAt];
    if (this.heard(gate.answered?.(this.state, this.gateAt, result, now) ?? GateAnswer.pass, now)) this.passGates(now);
  }

  /** The time that a gate wanted to wait is over, or what is left of the caller's. */
  private resumed(now: number): void {
    const { state } = this;
    if (now >= state.caller.deadline) {
      this.respond(answers.deadlineAnswer(this.decision), now);
      return;
    }
    const gate = (state.plan as Plan).gates[this.gateAt];
    if (this.heard(gate.resumed?.(state, this.gateAt, now) ?? GateAnswer.pass, now)) this.passGates(now);
  }

  /** Past all gates. */
  private passed(now: number): void {
    if (this.state.caller.place === "server") {
      this.phase = ACCEPTED;
      this.effects.push(Effect.accept, 0, 0);
    } else this.route(now);
  }

  /** Chooses the backend, sends copies, sets the time limits, makes the first attempt. */
  private route(now: number): void {
    const { state, decision } = this;
    const plan = state.plan as Plan;
    const binding = chooseBackend(state);
    if (binding === null) {
      this.respond(answers.noBackendAnswer(plan), now);
      return;
    }
    state.binding = decision.binding = binding;
    decision.service = binding.group.service;
    if (plan.mirrors.length > 0) sendMirrors(state, now);
    const { retry } = binding.policy;
    const { callerAttempt } = state.context as CallContext;
    state.replayable = retry.attempts > 0 && callerAttempt === 0 && state.requestBytes <= retry.bufferBytes;
    setTimeLimits(state, now);
    if (decision.deadline <= now) this.deadlinePassed(now);
    else {
      if (decision.deadline !== Number.POSITIVE_INFINITY) this.timers.startDeadline(decision.deadline - now);
      this.tryOnce(now);
    }
  }

  // === attempts =================================================================================================

  /** The loop's head: breaker, endpoint, forward. */
  private tryOnce(now: number): void {
    const { state, decision } = this;
    const binding = state.binding as Binding;
    const { breaker } = binding;
    const admission = breaker === null ? Admission.pass : breaker.admit(now);
    if (breaker !== null && admission === Admission.reject) {
      decision.breakerRefused = true;
      decision.breakerReopensMs = breaker.reopensInMs(now);
      if (this.fallBackOn(EventKind.breakerOpen, now)) return;
      this.respond(answers.breakerAnswer(binding, decision.breakerReopensMs), now);
      return;
    }
    const probe = admission === Admission.probe;
    if (openAttempt(state, probe, now) !== null) {
      this.phase = TRYING;
      return;
    }
    breaker?.forget(probe);
    this.noEndpoint(binding, now);
  }

  private noEndpoint(binding: Binding, now: number): void {
    const { decision } = this;
    let known = 0;
    for (const _slot of this.state.shared.table.slotsOf(binding.group.service)) known++;
    decision.known = known;
    const overflow = binding.group.slots.length > 0;
    decision.noEndpoint = overflow ? "overflow" : "unhealthy";
    if (this.fallBackOn(overflow ? EventKind.overflow : EventKind.noEndpoint, now)) return;
    this.respond(overflow ? answers.overflowAnswer(binding) : answers.noEndpointAnswer(binding, known), now);
  }

  connected(attempt: number, now: number): void {
    const tried = liveAttempt(this.state, attempt);
    if (tried !== null) tried.connectedAt = now;
  }

  head(attempt: number, status: number, fields: readonly string[], fin: boolean, now: number): void {
    const { state } = this;
    if (this.phase === ACCEPTED) {
      this.acceptedStatus = status;
      if (fin) this.finish(status, this.isGrpc() ? grpcStatusOf(fields, status) : -1, "", now);
      return;
    }
    const tried = liveAttempt(state, attempt);
    if (tried === null || tried.headAt >= 0) return;
    const facts = state.facts as RequestFacts;
    const binding = state.binding as Binding;
    const { retry, fallback } = binding.policy;
    tried.headAt = now;
    tried.status = status;
    const grpcStatus = facts.grpc && fin ? grpcStatusOf(fields, status) : -1;
    const good = grpcStatus < 0 ? status < 400 : grpcStatus === 0;
    sawAnswer(state.shared.table, binding, tried, good, now);
    if (!good && !state.committed) {
      if (mayRetry(state, tried, retry.on.hasAnswer(status, grpcStatus), false, fields, now)) {
        this.discard(tried, grpcStatus, fin, now);
        this.retryAfter(now);
        return;
      }
      if (fallback?.on.hasAnswer(status, grpcStatus) && this.mayFallBack()) {
        this.discard(tried, grpcStatus, fin, now);
        this.decision.fellBack = true;
        this.respond(answers.fallbackAnswer(fallback), now);
        return;
      }
    }
    if ((state.plan as Plan).watched && this.headed(tried, status, grpcStatus, fields, fin, now)) return;
    // What follows a gRPC head decides about a unary call; anything else is judged by its head.
    if (!facts.grpc || fin || !isUnary(state.plan as Plan)) judgeAnswer(binding, tried, status, grpcStatus, now);
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
    const binding = state.binding as Binding;
    tried.message = message;
    settle(state, tried, EVENT_NAMES[event], now);
    sawFailure(table, tried, event, now);
    state.avoid.push(tried.slot);
    // A lost connection says something of one endpoint; of the service only when no other is in rotation.
    const others = anotherInRotation(table, binding.group, state.avoid, now);
    judgeEvent(binding, tried, event, !others, now);
    if (state.committed) {
      if (tried !== this.delivered) return;
      this.abortDelivery(
        answers.errorAnswer("unavailable", 502, "UPSTREAM_LOST", `the answer broke off: ${message}`),
        now,
      );
      return;
    }
    const { retry } = binding.policy;
    if (mayRetry(state, tried, retry.on.hasEvent(event), unprocessed, NO_FIELDS, now, others, event)) {
      this.retryAfter(now);
    } else this.conclude(event, message, unprocessed, now);
  }

  /** Whether a gate answers in place of this attempt. */
  private headed(
    tried: Attempt,
    status: number,
    grpcStatus: number,
    fields: readonly string[],
    fin: boolean,
    now: number,
  ): boolean {
    const { state } = this;
    const { gates } = state.plan as Plan;
    for (let at = gates.length - 1; at >= 0; at--) {
      const answer = gates[at].headed?.(state, at, status, grpcStatus, fields, now) ?? GateAnswer.pass;
      if (answer !== GateAnswer.respond) continue;
      this.discard(tried, grpcStatus, fin, now);
      this.respond(state.response as LocalResponse, now);
      return true;
    }
    return false;
  }

  private tryTimedOut(tried: Attempt, now: number): void {
    const { state } = this;
    const binding = state.binding as Binding;
    const { retry, perTryTimeout } = binding.policy;
    sawSlowness(state.shared.table, binding, tried, now);
    judgeEvent(binding, tried, EventKind.timeout, true, now);
    settle(state, tried, "timeout", now);
    this.effects.push(Effect.cancel, tried.number, 0);
    state.avoid.push(tried.slot);
    if (mayRetry(state, tried, retry.on.hasEvent(EventKind.timeout), false, NO_FIELDS, now)) this.retryAfter(now);
    else this.conclude(EventKind.timeout, `no answer within ${ms(perTryTimeout)}`, false, now);
  }

  /** An answer that its caller will not see. */
  private discard(tried: Attempt, grpcStatus: number, fin: boolean, now: number): void {
    judgeAnswer(this.state.binding as Binding, tried, tried.status, grpcStatus, now);
    settle(this.state, tried, answerOutcome(tried.status, grpcStatus), now);
    if (!fin) this.effects.push(Effect.cancel, tried.number, 0);
  }

  private retryAfter(now: number): void {
    const delayMs = this.decision.backoffMs;
    if (delayMs <= 0) {
      this.tryOnce(now);
      return;
    }
    this.phase = WAITING;
    this.timers.startWaiting(delayMs);
  }

  // === the answer ===============================================================================================

  private commit(tried: Attempt, session: boolean, now: number): void {
    const { state } = this;
    state.committed = true;
    state.replayable = false;
    this.delivered = tried;
    this.phase = session ? SESSION : COMMITTED;
    this.effects.push(Effect.deliver, tried.number, 0);
    this.timers.stopTry(tried);
    answerBegan(state, now);
  }

  responseData(attempt: number, _bytes: number, fin: boolean, now: number): void {
    if (!fin || this.phase === SESSION) return;
    if (this.phase === ACCEPTED) {
      this.finish(this.acceptedStatus, this.isGrpc() ? GRPC_UNKNOWN : -1, "", now);
      return;
    }
    const tried = liveAttempt(this.state, attempt);
    if (tried === null || tried !== this.delivered) return;
    // gRPC ends with trailers; without them its outcome is unknown.
    this.judgeAndComplete(tried, this.isGrpc() && tried.status === 200 ? GRPC_UNKNOWN : -1, now);
  }

  trailers(attempt: number, fields: readonly string[], now: number): void {
    if (this.phase === ACCEPTED) {
      const grpcStatus = this.isGrpc() ? grpcStatusOf(fields, this.acceptedStatus) : -1;
      this.finish(this.acceptedStatus, grpcStatus, "", now);
      return;
    }
    const tried = liveAttempt(this.state, attempt);
    if (tried === null || tried !== this.delivered) return;
    this.judgeAndComplete(tried, this.isGrpc() ? grpcStatusOf(fields, tried.status) : -1, now);
  }

  carried(_toUpstream: number, _toDownstream: number, _now: number): void {}

  sessionEnd(now: number): void {
    if (this.phase !== SESSION || this.delivered === null) return;
    this.complete(this.delivered, -1, now);
  }

  private judgeAndComplete(tried: Attempt, grpcStatus: number, now: number): void {
    judgeAnswer(this.state.binding as Binding, tried, tried.status, grpcStatus, now);
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
    const keptBytes = state.binding?.policy.retry.bufferBytes ?? KEPT_BYTES;
    if (!state.replayable || state.requestBytes <= keptBytes) return;
    state.replayable = false;
    // Nothing is sending the body now, and what came before may be forgotten: the retry that was waited for cannot be made.
    if (this.phase === WAITING) {
      this.timers.stopWaiting();
      this.decision.stop = "body";
      this.conclude(EventKind.reset, "", false, now);
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
    if (this.ended || this.phase === IDLE) return;
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
      if (this.phase === WAITING) this.tryOnce(now);
      else if (this.phase === HELD) this.resumed(now);
      else if (this.phase === ASKING) {
        if (now >= this.state.caller.deadline) this.respond(answers.deadlineAnswer(this.decision), now);
        else this.answered(this.queryId, null, now);
      }
    } else {
      const tried = liveAttempt(this.state, timerId - TIMER_TRY);
      if (tried === null || !tried.timed) return;
      tried.timed = false;
      this.tryTimedOut(tried, now);
    }
  }

  private deadlinePassed(now: number): void {
    const { state, decision } = this;
    const binding = state.binding as Binding;
    const ofService = !decision.deadlineOfCaller && !state.committed;
    for (const attempt of decision.attempts) {
      if (!attempt.live) continue;
      sawSlowness(state.shared.table, binding, attempt, now);
      judgeEvent(binding, attempt, EventKind.timeout, ofService, now);
    }
    endAttempts(state, "timeout", now);
    if (state.committed) this.abortDelivery(answers.deadlineAnswer(decision), now);
    else if (!this.fallBackOn(EventKind.timeout, now)) this.respond(answers.deadlineAnswer(decision), now);
  }

  // === the end ==================================================================================================

  /** No attempt's answer can be delivered. */
  private conclude(event: EventKind, message: string, unprocessed: boolean, now: number): void {
    if (this.fallBackOn(event, now)) return;
    const binding = this.state.binding as Binding;
    this.respond(answers.upstreamAnswer(this.decision, binding, event, message, unprocessed), now);
  }

  private fallBackOn(event: EventKind, now: number): boolean {
    const fallback = this.state.binding?.policy.fallback ?? null;
    if (fallback === null || !fallback.on.hasEvent(event) || !this.mayFallBack()) return false;
    this.decision.fellBack = true;
    this.respond(answers.fallbackAnswer(fallback), now);
    return true;
  }

  /** A static answer cannot be given to a gRPC caller that the gateway passes through: it has no message to send. */
  private mayFallBack(): boolean {
    const { place, asSent } = this.state.context as CallContext;
    return place === "client" || asSent !== null || !this.isGrpc();
  }

  private respond(response: LocalResponse, now: number): void {
    const { state } = this;
    if (response.error !== null && state.binding !== null && (state.plan as Plan).watched) {
      response = this.failing(response, now);
    }
    const { responseAdd } = state;
    if (responseAdd !== null) response = { ...response, fields: [...response.fields, ...responseAdd] };
    this.response = response;
    this.effects.push(Effect.respond, 0, 0);
    const { error, status } = response;
    const grpcStatus = this.isGrpc() ? (error === null ? 0 : grpcNumber(error.code)) : -1;
    this.finish(status, grpcStatus, error?.reason ?? "", now);
  }

  /** What a gate says in place of a failure, or the failure. */
  private failing(failure: LocalResponse, now: number): LocalResponse {
    const { state } = this;
    const { gates } = state.plan as Plan;
    state.failure = failure;
    for (let at = gates.length - 1; at >= 0; at--) {
      if (gates[at].failing?.(state, at, now) === GateAnswer.respond) return state.response as LocalResponse;
    }
    return failure;
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
    this.timers.stopWaiting();
    this.timers.stopDeadline();
    this.phase = ENDED;
    this.ended = true;
    decision.durationMs = now - decision.startedAt;
    decision.outcome.status = status;
    decision.outcome.grpcStatus = grpcStatus;
    decision.outcome.reason = reason;
    if (state.plan?.watched) {
      for (let at = this.gatesEntered - 1; at >= 0; at--) state.plan.gates[at].left?.(state, at, now);
    }
    const { record } = state.shared;
    decision.explained = record === "all" || (record === "failed" && decision.failed);
    this.effects.push(Effect.end, 0, 0);
  }

  private isGrpc(): boolean {
    return (this.state.facts as RequestFacts).grpc;
  }

  // === effects ==================================================================================================

  next(): EffectKind {
    const { effects } = this;
    const { waiting } = effects;
    while (effects.first < effects.tail) {
      const at = effects.first;
      const kind = waiting[at] as EffectKind;
      const number = waiting[at + 1];
      const value = waiting[at + 2];
      effects.first = at + 3;
      switch (kind) {
        case Effect.forward: {
          const attempt = this.decision.attempts[number - 1];
          if (!attempt.live) continue; // it was given up before the shell heard of it
          attempt.forwarded = true;
          this.attempt = number;
          this.endpoint = attempt.to;
          this.timeoutMs = value;
          this.requestChanges();
          return kind;
        }
        case Effect.mirror:
          this.endpoint = this.state.mirrors[number];
          this.requestChanges();
          return kind;
        case Effect.replayBody:
          if (!this.decision.attempts[number - 1].live) continue;
          this.attempt = number;
          return kind;
        case Effect.cancel:
          if (!this.decision.attempts[number - 1].forwarded) continue;
          this.attempt = number;
          return kind;
        case Effect.deliver: {
          const { state } = this;
          const { rule } = state.plan as Plan;
          this.attempt = number;
          this.addFields = both(rule.responseAdd, state.responseAdd);
          this.removeFields = rule.responseRemove;
          this.store = state.store;
          return kind;
        }
        case Effect.query:
          this.query = this.state.query;
          return kind;
        case Effect.startTimer:
          this.timerId = number;
          this.timerMs = value;
          return kind;
        case Effect.cancelTimer:
          this.timerId = number;
          return kind;
        default:
          return kind;
      }
    }
    effects.first = effects.tail = 0;
    return Effect.none;
  }

  private requestChanges(): void {
    const { rule } = this.state.plan as Plan;
    const facts = this.state.facts as RequestFacts;
    this.addFields = both(rule.requestAdd, this.state.requestAdd);
    this.removeFields = both(rule.requestRemove, this.state.requestRemove);
    this.rewritePath = facts.rewritePath;
    this.rewriteAuthority = facts.rewriteAuthority;
  }
}

type Phase = number;
const IDLE = 0;
/** For the answer to a query. */
const ASKING = 1;
const TRYING = 2;
/** For the back-off before a retry. */
const WAITING = 3;
const COMMITTED = 4;
const SESSION = 5;
const ENDED = 6;
/** For as long as a gate wants. */
const HELD = 7;
/** At the server, by its handler. */
const ACCEPTED = 8;

/** Body bytes that may come before it is clear which policy holds. */
const KEPT_BYTES = 65_536;
const NO_FIELDS: readonly string[] = [];

function both(one: readonly string[] | null, other: readonly string[] | null): readonly string[] | null {
  if (other === null) return one;
  return one === null ? other : [...one, ...other];
}
