import type { Endpoint } from "../core/endpoint.ts";
import { Attempt, answerOutcome, ms } from "./attempt.ts";
import { backoffMs, drawJitter, pushbackMs } from "./backoff.ts";
import { anotherInRotation, pickEndpoint } from "./balancer.ts";
import { Admission } from "./breaker.ts";
import {
  type AttemptFailure,
  type Call,
  type CallContext,
  type CallRequest,
  Effect,
  type EffectKind,
  type LocalResponse,
  type QueryKind,
} from "./call.ts";
import { EVENT_NAMES, EventKind } from "./conditions.ts";
import { CallDecision, type RetryStop } from "./decision.ts";
import { sourceOf } from "./decision-steps.ts";
import { Level } from "./effective-policy.ts";
import { GRPC_UNKNOWN, grpcNumber, grpcStatusOf } from "./grpc-status.ts";
import {
  breakerAnswer,
  errorAnswer,
  fallbackAnswer,
  noBackendAnswer,
  noEndpointAnswer,
  noRouteAnswer,
  overflowAnswer,
  rateLimitAnswer,
  redirectAnswer,
  upstreamAnswer,
} from "./local-answers.ts";
import { factsOf, type RequestFacts } from "./request-facts.ts";
import type { RuntimeState } from "./runtime-state.ts";
import type { Binding, Plan } from "./snapshot.ts";

/**
 * The call machine: one call from its request's head to its end. call.ts says what its events and effects mean.
 *
 *     begin -> route -> redirect -> rate limits (may wait for a query) -> split -> mirror -> deadline
 *                                                                                              |
 *        +---------------------------------- retry, at once or after a back-off <--------------+--+
 *        v                                                                                        |
 *     breaker -> pick an endpoint -> forward -> [trying] --failed, or an answer to retry----------+
 *        | refused   | none                        | answer              | no retry: budget, deadline, attempts...
 *        v           v                             v                     v
 *     fallback or error: respond -> end         deliver -> [committed or session] -> end, or abort -> end
 *
 * What it reads together stays together here although it is long: with its attempts, timers and effects in objects of their own, deciding a call took
 * 5 to 10 % longer. What it answers itself is worded in local-answers.ts.
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
  readonly queryKind: QueryKind = "shared-limit";
  queryKey = "";
  response: LocalResponse | null = null;
  // state
  ended = false;
  committed = false;
  replayable = true;
  readonly decision = new CallDecision();
  private readonly shared: RuntimeState;
  private phase: Phase = IDLE;
  private request: CallRequest = NO_REQUEST;
  private context: CallContext | null = null;
  private facts: RequestFacts | null = null;
  private plan: Plan | null = null;
  private binding: Binding | null = null;
  private delivered: Attempt | null = null;
  private bodyFollows = false;
  private requestEnded = false;
  private requestBytes = 0;
  private retries = 0;
  /** The next limiter to pass while a query is under way. */
  private limiterAt = 0;
  private queries = 0;
  /** Absolute: the call's end at the latest, and the time by which an answer must have begun. */
  private hardAt = Number.POSITIVE_INFINITY;
  private softAt = Number.POSITIVE_INFINITY;
  private deadlineRuns = false;
  private waitRuns = false;
  /** Attempt objects, the first `decision.attempts.length` of them in use. */
  private readonly pool: Attempt[] = [];
  /** Slots of endpoints that failed this call. */
  private readonly avoid: number[] = [];
  private readonly mirrors: Endpoint[] = [];
  /** Effects not yet pulled: kind, number, ms. */
  private readonly effects: number[] = [];
  private first = 0;
  private tail = 0;

  constructor(shared: RuntimeState) {
    this.shared = shared;
  }

  /** Makes it as new. */
  reset(): void {
    this.ended = this.committed = false;
    this.replayable = true;
    this.phase = IDLE;
    this.endpoint = this.response = this.facts = this.plan = this.binding = this.delivered = this.context = null;
    this.request = NO_REQUEST;
    this.addFields = this.removeFields = null;
    this.bodyFollows = this.requestEnded = false;
    this.requestBytes = this.retries = this.limiterAt = this.first = this.tail = 0;
    this.hardAt = this.softAt = Number.POSITIVE_INFINITY;
    this.deadlineRuns = this.waitRuns = false;
    if (this.avoid.length > 0) this.avoid.length = 0;
    if (this.mirrors.length > 0) this.mirrors.length = 0;
    const decision = this.decision;
    for (const attempt of decision.attempts) attempt.to = null;
    decision.reset();
  }

  // === events ===================================================================================================

  begin(request: CallRequest, context: CallContext, bodyFollows: boolean, now: number): void {
    if (this.phase !== IDLE) return;
    const { shared, decision } = this;
    const { snapshot } = shared;
    const facts = factsOf(snapshot, request, context);
    this.request = request;
    this.context = context;
    this.facts = facts;
    this.bodyFollows = bodyFollows;
    this.requestEnded = !bodyFollows;
    decision.requestId = context.requestId;
    decision.place = context.place;
    decision.revision = snapshot.revision;
    decision.endpointVersion = shared.endpointVersion;
    decision.startedAt = now;
    if (facts.match === null) {
      this.noRoute(now);
      return;
    }
    const plan = facts.match.plan;
    this.plan = decision.plan = plan;
    decision.route = plan.rule.text;
    if (plan.rule.redirect !== null) this.respond(redirectAnswer(context.asSent ?? request, facts), now);
    else if (plan.limiters.length === 0 || context.place === "client") this.route(now);
    else this.passLimits(now);
  }

  answered(queryId: number, result: unknown, now: number): void {
    if (this.phase !== ASKING || queryId !== this.queries) return;
    this.stopWaiting();
    const limiter = (this.plan as Plan).limiters[this.limiterAt];
    // The shared limiter says whether, and when not, after how many ms. Silence leaves it to this process's own bucket.
    const answer = result as { allowed?: unknown; waitMs?: unknown } | null;
    if (answer?.allowed === false) {
      this.refuse(limiter, typeof answer.waitMs === "number" ? answer.waitMs : limiter.perMs, now);
      return;
    }
    const waitMs = answer?.allowed === true ? 0 : limiter.buckets.take(this.decision.limitKey, now);
    if (waitMs > 0) this.refuse(limiter, waitMs, now);
    else {
      this.limiterAt++;
      this.passLimits(now);
    }
  }

  requestData(bytes: number, now: number): void {
    if (this.ended) return;
    this.requestBytes += bytes;
    const { binding } = this;
    if (!this.replayable || this.requestBytes <= (binding?.policy.retry.bufferBytes ?? KEPT_BYTES)) return;
    this.replayable = false;
    // Nothing is sending the body now, and what came before may be forgotten: the retry that was waited for cannot be made.
    if (this.phase === WAITING) {
      this.stopWaiting();
      this.decision.stop = "body";
      this.conclude(now);
    }
  }

  requestEnd(now: number): void {
    if (this.ended || this.requestEnded) return;
    this.requestEnded = true;
    if (this.binding !== null && !this.committed && this.timesAnswer()) this.armAnswer(now);
  }

  connected(attempt: number, now: number): void {
    const tried = this.liveAttempt(attempt);
    if (tried !== null) tried.connectedAt = now;
  }

  head(attempt: number, status: number, fields: readonly string[], fin: boolean, now: number): void {
    const tried = this.liveAttempt(attempt);
    if (tried === null || tried.headAt >= 0) return;
    const { shared } = this;
    const facts = this.facts as RequestFacts;
    const { policy } = this.binding as Binding;
    tried.headAt = now;
    tried.status = status;
    const grpcStatus = facts.grpc && fin ? grpcStatusOf(fields, status) : -1;
    const good = grpcStatus < 0 ? status < 400 : grpcStatus === 0;
    if (shared.table.generation[tried.slot] === tried.generation) {
      const { table } = shared;
      if (table.failures[tried.slot] !== 0 || table.ejections[tried.slot] !== 0) table.alive(tried.slot);
      const latencyMs = now - tried.startedAt;
      // A quick error must not make an endpoint look fast.
      if (good || latencyMs > table.ewmaMs[tried.slot]) {
        table.observe(tried.slot, latencyMs, now, policy.balancer.decayMs);
      }
    }
    if (!good && !this.committed) {
      if (this.mayRetry(tried, policy.retry.on.hasAnswer(status, grpcStatus), false, fields, now)) {
        this.judge(tried, status, grpcStatus, now);
        this.settle(tried, answerOutcome(status, grpcStatus), now);
        if (!fin) this.push(Effect.cancel, attempt, 0);
        this.retryAfter(now);
        return;
      }
      const { fallback } = policy;
      if (fallback?.on.hasAnswer(status, grpcStatus) && this.mayFallBack()) {
        this.judge(tried, status, grpcStatus, now);
        this.settle(tried, answerOutcome(status, grpcStatus), now);
        if (!fin) this.push(Effect.cancel, attempt, 0);
        this.decision.fellBack = true;
        this.respond(fallbackAnswer(fallback), now);
        return;
      }
    }
    // What follows a gRPC head decides about a unary call; anything else is judged by its head.
    if (!facts.grpc || fin || this.mayStream()) this.judge(tried, status, grpcStatus, now);
    this.commit(tried, facts.session && (status === 101 || (status >= 200 && status < 300)), now);
    if (fin) this.complete(tried, facts.grpc ? grpcStatus : -1, now);
  }

  responseData(attempt: number, _bytes: number, fin: boolean, now: number): void {
    if (!fin || this.phase === SESSION) return;
    const tried = this.liveAttempt(attempt);
    if (tried === null || tried !== this.delivered) return;
    // gRPC ends with trailers; without them its outcome is unknown.
    const grpcStatus = (this.facts as RequestFacts).grpc && tried.status === 200 ? GRPC_UNKNOWN : -1;
    this.judge(tried, tried.status, grpcStatus, now);
    this.complete(tried, grpcStatus, now);
  }

  trailers(attempt: number, fields: readonly string[], now: number): void {
    const tried = this.liveAttempt(attempt);
    if (tried === null || tried !== this.delivered) return;
    const grpcStatus = (this.facts as RequestFacts).grpc ? grpcStatusOf(fields, tried.status) : -1;
    this.judge(tried, tried.status, grpcStatus, now);
    this.complete(tried, grpcStatus, now);
  }

  failed(attempt: number, failure: AttemptFailure, now: number): void {
    const tried = this.liveAttempt(attempt);
    if (tried === null) return;
    const { kind, unprocessed, message } = failure;
    const event = EventKind[kind];
    const { table } = this.shared;
    const { group, policy, breaker } = this.binding as Binding;
    tried.message = message;
    this.settle(tried, EVENT_NAMES[event], now);
    if (event !== EventKind.overflow && table.generation[tried.slot] === tried.generation) {
      table.failed(tried.slot, event === EventKind.connect, now);
    }
    this.avoid.push(tried.slot);
    const others = anotherInRotation(table, group, this.avoid, now);
    if (breaker !== null && !tried.judged) {
      tried.judged = true;
      // A lost connection says something of one endpoint; of the service only when no other is in rotation.
      if (policy.breaker?.on.hasEvent(event) && !others) breaker.failed(tried.probe, now);
      else breaker.forget(tried.probe);
    }
    if (this.committed) {
      if (tried === this.delivered)
        this.abortDelivery("UPSTREAM_LOST", "unavailable", `the answer broke off: ${message}`, now);
      return;
    }
    if (this.mayRetry(tried, policy.retry.on.hasEvent(event), unprocessed, NO_FIELDS, now, others, event)) {
      this.retryAfter(now);
    } else this.conclude(now, event, message, unprocessed);
  }

  timer(timerId: number, now: number): void {
    if (this.ended) return;
    if (timerId === TIMER_DEADLINE) {
      if (!this.deadlineRuns) return;
      this.deadlineRuns = false;
      this.deadlinePassed(now);
    } else if (timerId === TIMER_WAIT) {
      if (!this.waitRuns) return;
      this.waitRuns = false;
      if (this.phase === WAITING) this.tryOnce(now);
      else if (this.phase === ASKING) this.answered(this.queries, null, now);
    } else {
      const tried = this.liveAttempt(timerId - TIMER_TRY);
      if (tried === null || !tried.timed) return;
      tried.timed = false;
      this.tryTimedOut(tried, now);
    }
  }

  credit(_bytes: number, _now: number): void {}

  downstreamGone(now: number): void {
    if (this.ended || this.phase === IDLE) return;
    this.finish(499, (this.facts as RequestFacts).grpc ? 1 : -1, "CANCELLED", now);
  }

  carried(_toUpstream: number, _toDownstream: number, _now: number): void {}

  sessionEnd(now: number): void {
    if (this.phase !== SESSION || this.delivered === null) return;
    this.complete(this.delivered, -1, now);
  }

  // === effects ==================================================================================================

  next(): EffectKind {
    const { effects } = this;
    while (this.first < this.tail) {
      const kind = effects[this.first] as EffectKind;
      const number = effects[this.first + 1];
      const value = effects[this.first + 2];
      this.first += 3;
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
          this.endpoint = this.mirrors[number];
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
          const { rule } = this.plan as Plan;
          this.attempt = number;
          this.addFields = rule.responseAdd;
          this.removeFields = rule.responseRemove;
          return kind;
        }
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
    this.first = this.tail = 0;
    return Effect.none;
  }

  private requestChanges(): void {
    const { rule } = this.plan as Plan;
    const facts = this.facts as RequestFacts;
    this.addFields = rule.requestAdd;
    this.removeFields = rule.requestRemove;
    this.rewritePath = facts.rewritePath;
    this.rewriteAuthority = facts.rewriteAuthority;
  }

  private push(kind: EffectKind, number: number, value: number): void {
    const { effects, tail } = this;
    effects[tail] = kind;
    effects[tail + 1] = number;
    effects[tail + 2] = value;
    this.tail = tail + 3;
  }

  // === before the first attempt =================================================================================

  private noRoute(now: number): void {
    const { request, decision } = this;
    const sent = this.context?.asSent ?? request;
    decision.request = `${sent.method} ${sent.authority}${sent.path.split("?", 1)[0]}`;
    this.respond(noRouteAnswer(sent, this.facts as RequestFacts), now);
  }

  private passLimits(now: number): void {
    const { limiters } = this.plan as Plan;
    const { request, decision } = this;
    const { peerAddress, peerIdentity, asSent } = this.context as CallContext;
    for (; this.limiterAt < limiters.length; this.limiterAt++) {
      const limiter = limiters[this.limiterAt];
      decision.limitersPassed = this.limiterAt;
      decision.limitKey = limiter.keyOf((asSent ?? request).fields, peerAddress, peerIdentity);
      if (limiter.shared) {
        this.phase = ASKING;
        this.queryId = ++this.queries;
        this.queryKey = `${limiter.name}/${decision.limitKey}`;
        this.push(Effect.query, 0, 0);
        this.startWaiting(QUERY_MS);
        return;
      }
      const waitMs = limiter.buckets.take(decision.limitKey, now);
      if (waitMs > 0) {
        this.refuse(limiter, waitMs, now);
        return;
      }
    }
    decision.limitersPassed = limiters.length;
    this.route(now);
  }

  private refuse(limiter: Plan["limiters"][number], waitMs: number, now: number): void {
    const { decision } = this;
    decision.refusedBy = limiter;
    decision.limitWaitMs = waitMs;
    this.respond(rateLimitAnswer(limiter, waitMs), now);
  }

  /** Chooses the backend, sends copies, sets the time limits, makes the first attempt. */
  private route(now: number): void {
    const plan = this.plan as Plan;
    const { decision, shared } = this;
    const context = this.context as CallContext;
    const { bindings, rule } = plan;
    let binding: Binding | undefined = bindings[0];
    if (bindings.length !== 1 || rule.totalWeight === 0) {
      if (rule.totalWeight === 0) {
        this.respond(noBackendAnswer(plan), now);
        return;
      }
      decision.splitDraw = shared.random.next();
      let left = decision.splitDraw * rule.totalWeight;
      for (const candidate of bindings) {
        if (candidate.weight === 0) continue;
        binding = candidate;
        if ((left -= candidate.weight) < 0) break;
      }
    }
    this.binding = decision.binding = binding as Binding;
    const { policy, group } = this.binding;
    decision.service = group.service;
    if (plan.mirrors.length > 0) this.sendMirrors(plan, now);
    this.replayable =
      policy.retry.attempts > 0 && context.callerAttempt === 0 && this.requestBytes <= policy.retry.bufferBytes;

    this.hardAt = context.deadline;
    decision.deadlineOfCaller = context.deadline !== Number.POSITIVE_INFINITY;
    if (policy.timeoutMs !== Number.POSITIVE_INFINITY) {
      if (this.timesCall()) {
        const end = decision.startedAt + policy.timeoutMs;
        if (end < this.hardAt) {
          this.hardAt = end;
          decision.deadlineOfCaller = false;
        }
      } else if (this.timesAnswer() && (this.requestEnded || (this.facts as RequestFacts).session)) {
        this.softAt = now + policy.timeoutMs;
        if (this.softAt < this.hardAt) decision.deadlineOfCaller = false;
      }
    }
    decision.deadline = Math.min(this.hardAt, this.softAt);
    if (decision.deadline <= now) this.deadlinePassed(now);
    else {
      if (decision.deadline !== Number.POSITIVE_INFINITY) this.startDeadline(decision.deadline - now);
      this.tryOnce(now);
    }
  }

  private sendMirrors(plan: Plan, now: number): void {
    const { table, random } = this.shared;
    for (const { group, percent } of plan.mirrors) {
      if (percent < 100 && random.next() * 100 >= percent) continue;
      const { balancer } = (this.binding as Binding).policy;
      const slot = pickEndpoint(table, group, balancer, Number.POSITIVE_INFINITY, NO_SLOTS, random, now, MIRROR_PICK);
      const endpoint = slot < 0 ? null : table.endpoints[slot];
      if (endpoint === null) continue;
      this.push(Effect.mirror, this.mirrors.push(endpoint) - 1, 0);
    }
  }

  // === time =====================================================================================================

  /** Known to be one message each way. */
  private isUnary(): boolean {
    const method = (this.plan as Plan).method;
    return method !== null && !method.clientStreaming && !method.serverStreaming;
  }

  private mayStream(): boolean {
    return !this.isUnary();
  }

  /** The time-out holds from begin to end: for unary methods, and where it was written for this method, route or rule. */
  private timesCall(): boolean {
    if ((this.facts as RequestFacts).session) return false;
    return this.isUnary() || (this.binding as Binding).policy.timeoutLevel >= Level.method;
  }

  /**
   * The time-out holds from the request's end to the head of the answer: HTTP that may stream either way, and sessions until their switch.
   * gRPC calls that may stream have none, since their head may come with the first message, whenever that is.
   */
  private timesAnswer(): boolean {
    const { session, grpc } = this.facts as RequestFacts;
    return session || (!this.timesCall() && !grpc);
  }

  private armAnswer(now: number): void {
    const { timeoutMs } = (this.binding as Binding).policy;
    if (timeoutMs === Number.POSITIVE_INFINITY || this.softAt !== Number.POSITIVE_INFINITY) return;
    this.softAt = now + timeoutMs;
    if (this.softAt >= this.hardAt) return;
    this.decision.deadline = this.softAt;
    this.decision.deadlineOfCaller = false;
    this.startDeadline(timeoutMs);
  }

  private startDeadline(delayMs: number): void {
    this.deadlineRuns = true;
    this.push(Effect.startTimer, TIMER_DEADLINE, delayMs);
  }

  private startWaiting(delayMs: number): void {
    this.waitRuns = true;
    this.push(Effect.startTimer, TIMER_WAIT, delayMs);
  }

  private stopWaiting(): void {
    if (!this.waitRuns) return;
    this.waitRuns = false;
    this.push(Effect.cancelTimer, TIMER_WAIT, 0);
  }

  private deadlinePassed(now: number): void {
    const { decision, binding } = this;
    const limit = ms(decision.deadline - decision.startedAt);
    const from = decision.deadlineOfCaller ? "the caller's deadline" : sourceOf(decision, "timeout");
    const message = `no complete answer from ${binding?.name ?? "the service"} within ${limit} (${from})`;
    for (const attempt of decision.attempts) {
      if (!attempt.live) continue;
      this.slow(attempt, now);
      const ofService = !decision.deadlineOfCaller && binding?.policy.breaker?.on.hasEvent(EventKind.timeout) === true;
      if (ofService && !attempt.judged && !this.committed) {
        attempt.judged = true;
        binding?.breaker?.failed(attempt.probe, now);
      }
    }
    if (this.committed) this.abortDelivery("DEADLINE_EXCEEDED", "deadline_exceeded", message, now);
    else {
      this.endAttempts("timeout", now);
      if (!this.fallBackOn(EventKind.timeout, now)) {
        this.respond(errorAnswer("deadline_exceeded", 504, "DEADLINE_EXCEEDED", message), now);
      }
    }
  }

  private tryTimedOut(tried: Attempt, now: number): void {
    const { policy, breaker } = this.binding as Binding;
    this.slow(tried, now);
    if (breaker !== null && !tried.judged) {
      tried.judged = true;
      if (policy.breaker?.on.hasEvent(EventKind.timeout)) breaker.failed(tried.probe, now);
      else breaker.forget(tried.probe);
    }
    this.settle(tried, "timeout", now);
    this.push(Effect.cancel, tried.number, 0);
    this.avoid.push(tried.slot);
    if (this.mayRetry(tried, policy.retry.on.hasEvent(EventKind.timeout), false, NO_FIELDS, now)) this.retryAfter(now);
    else this.conclude(now, EventKind.timeout, `no answer within ${ms(policy.perTryTimeoutMs)}`, false);
  }

  /** An attempt that was given up took at least so long: the balancer shall know. */
  private slow(attempt: Attempt, now: number): void {
    const { table } = this.shared;
    if (attempt.headAt >= 0 || table.generation[attempt.slot] !== attempt.generation) return;
    const latencyMs = now - attempt.startedAt;
    if (latencyMs > table.ewmaMs[attempt.slot]) {
      table.observe(attempt.slot, latencyMs, now, (this.binding as Binding).policy.balancer.decayMs);
    }
  }

  // === attempts =================================================================================================

  private tryOnce(now: number): void {
    const { decision, shared } = this;
    const { table, random } = shared;
    const { breaker, group, policy, budget } = this.binding as Binding;
    let probe = false;
    if (breaker !== null) {
      const admission = breaker.admit(now);
      if (admission === Admission.reject) {
        decision.breakerRefused = true;
        decision.breakerReopensMs = breaker.reopensInMs(now);
        if (this.fallBackOn(EventKind.breakerOpen, now)) return;
        this.respond(breakerAnswer(this.binding as Binding, decision.breakerReopensMs), now);
        return;
      }
      probe = admission === Admission.probe;
    }
    const { attempts } = decision;
    const number = attempts.length + 1;
    const attempt = (this.pool[number - 1] ??= new Attempt());
    const slot =
      group.inFlight >= policy.maxInFlight
        ? -1
        : pickEndpoint(table, group, policy.balancer, policy.maxInFlightPerEndpoint, this.avoid, random, now, attempt);
    if (slot < 0) {
      breaker?.forget(probe);
      this.noEndpoint(now);
      return;
    }
    attempts.push(attempt);
    attempt.number = number;
    attempt.to = table.endpoints[slot];
    attempt.slot = slot;
    attempt.generation = table.generation[slot];
    attempt.live = true;
    attempt.forwarded = attempt.judged = attempt.timed = false;
    attempt.probe = probe;
    attempt.callStartedAt = decision.startedAt;
    attempt.startedAt = now;
    attempt.connectedAt = attempt.headAt = -1;
    attempt.status = 0;
    attempt.outcome = attempt.message = "";
    attempt.how = policy.balancer.kind;
    attempt.rivalId = attempt.rival < 0 ? "" : (table.endpoints[attempt.rival]?.id ?? "");
    table.inFlight[slot]++;
    table.chosen(slot, now);
    group.inFlight++;
    if (number === 1 && policy.retry.attempts > 0) budget.deposit(now);
    this.phase = TRYING;

    const leftMs = decision.deadline - now;
    const timeoutMs = Math.min(policy.perTryTimeoutMs, leftMs);
    this.push(Effect.forward, number, timeoutMs);
    if (this.bodyFollows && (this.requestBytes > 0 || this.requestEnded)) this.push(Effect.replayBody, number, 0);
    if (policy.perTryTimeoutMs < leftMs) {
      attempt.timed = true;
      this.push(Effect.startTimer, TIMER_TRY + number, policy.perTryTimeoutMs);
    }
  }

  private noEndpoint(now: number): void {
    const { decision } = this;
    const { group } = this.binding as Binding;
    let known = 0;
    for (const _slot of this.shared.table.slotsOf(group.service)) known++;
    decision.known = known;
    const overflow = group.slots.length > 0;
    decision.noEndpoint = overflow ? "overflow" : "unhealthy";
    if (this.fallBackOn(overflow ? EventKind.overflow : EventKind.noEndpoint, now)) return;
    const binding = this.binding as Binding;
    this.respond(overflow ? overflowAnswer(binding) : noEndpointAnswer(binding, known), now);
  }

  /** Whether another attempt follows the one that just failed; if so, after `decision.backoffMs`, and the budget has paid for it. */
  private mayRetry(
    tried: Attempt,
    matches: boolean,
    unprocessed: boolean,
    fields: readonly string[],
    now: number,
    others = true,
    event: EventKind | -1 = -1,
  ): boolean {
    const { decision, shared } = this;
    const { policy, budget } = this.binding as Binding;
    const { retry } = policy;
    const stop = this.retryStop(matches, unprocessed);
    decision.stop = stop;
    if (stop !== "") return false;
    if (tried.status > 0) this.avoid.push(tried.slot);
    const asked = pushbackMs(fields);
    if (asked !== undefined && (asked < 0 || asked > MAX_PUSHBACK_MS)) return this.stopRetrying("pushback");
    // A lost attempt goes elsewhere at once, since its endpoint is at fault, not load: the first time, and while servers certainly did nothing.
    const lost = event >= 0 && event !== EventKind.protocol;
    const elsewhere = others && (unprocessed || this.retries === 0);
    const atOnce = lost && (elsewhere || (this.retries === 0 && unprocessed && event !== EventKind.connect));
    let delayMs = 0;
    if (asked !== undefined) delayMs = asked;
    else if (!atOnce) {
      decision.backoffDraw = drawJitter(retry, shared.random);
      delayMs = backoffMs(retry, this.retries + 1, decision.backoffDraw);
    }
    decision.leftMs = decision.deadline - now;
    decision.neededMs = delayMs + 1;
    if (decision.leftMs < decision.neededMs) return this.stopRetrying("deadline");
    decision.budgetLeft = budget.left(now);
    decision.budgetSize = budget.size(now);
    if (!budget.withdraw(now)) return this.stopRetrying("budget");
    this.retries++;
    decision.backoffMs = delayMs;
    return true;
  }

  private retryStop(matches: boolean, unprocessed: boolean): RetryStop {
    const { retry } = (this.binding as Binding).policy;
    if (retry.attempts === 0) return "off";
    if (!matches && !unprocessed) return "condition";
    if ((this.context as CallContext).callerAttempt > 0) return "caller-retries";
    if (this.retries >= retry.attempts) return "attempts";
    if (this.requestBytes > 0 && !this.replayable) return "body";
    if (!unprocessed && !retry.nonIdempotent && !(this.facts as RequestFacts).idempotent) return "not-idempotent";
    return "";
  }

  private stopRetrying(stop: RetryStop): false {
    this.decision.stop = stop;
    return false;
  }

  private retryAfter(now: number): void {
    const delayMs = this.decision.backoffMs;
    if (delayMs <= 0) {
      this.tryOnce(now);
      return;
    }
    this.phase = WAITING;
    this.startWaiting(delayMs);
  }

  /** Tells the breaker how an attempt was answered, once. */
  private judge(tried: Attempt, status: number, grpcStatus: number, now: number): void {
    const { breaker } = this.binding as Binding;
    if (breaker === null || tried.judged) return;
    tried.judged = true;
    if (breaker.settings.on.hasAnswer(status, grpcStatus)) breaker.failed(tried.probe, now);
    else breaker.succeeded(tried.probe, now);
  }

  /** The attempt is over: whatever counted it in flight counts it out. */
  private settle(tried: Attempt, outcome: string, now: number): void {
    const { table } = this.shared;
    const { group } = this.binding as Binding;
    tried.live = false;
    tried.endedAt = now;
    tried.outcome = outcome;
    if (table.generation[tried.slot] === tried.generation) table.inFlight[tried.slot]--;
    group.inFlight--;
    if (tried.timed) {
      tried.timed = false;
      this.push(Effect.cancelTimer, TIMER_TRY + tried.number, 0);
    }
  }

  private commit(tried: Attempt, session: boolean, now: number): void {
    this.committed = true;
    this.replayable = false;
    this.delivered = tried;
    this.phase = session ? SESSION : COMMITTED;
    this.push(Effect.deliver, tried.number, 0);
    if (tried.timed) {
      tried.timed = false;
      this.push(Effect.cancelTimer, TIMER_TRY + tried.number, 0);
    }
    if (this.softAt === Number.POSITIVE_INFINITY) return;
    // The answer has begun: what is left is the hard limit, if there is one.
    this.softAt = Number.POSITIVE_INFINITY;
    if (this.decision.deadline === this.hardAt) return;
    this.decision.deadline = this.hardAt;
    this.decision.deadlineOfCaller = true;
    if (this.hardAt !== Number.POSITIVE_INFINITY) this.startDeadline(this.hardAt - now);
    else if (this.deadlineRuns) {
      this.deadlineRuns = false;
      this.push(Effect.cancelTimer, TIMER_DEADLINE, 0);
    }
  }

  private liveAttempt(number: number): Attempt | null {
    if (this.ended) return null;
    const { attempts } = this.decision;
    const attempt = number >= 1 && number <= attempts.length ? attempts[number - 1] : null;
    return attempt?.live ? attempt : null;
  }

  // === the end ==================================================================================================

  /** The delivered answer is complete. */
  private complete(tried: Attempt, grpcStatus: number, now: number): void {
    this.settle(tried, answerOutcome(tried.status, grpcStatus), now);
    this.finish(tried.status, grpcStatus, "", now);
  }

  /** No attempt's answer can be delivered. */
  private conclude(now: number, event: EventKind = EventKind.reset, message = "", unprocessed = false): void {
    if (this.fallBackOn(event, now)) return;
    this.respond(upstreamAnswer(this.decision, this.binding as Binding, event, message, unprocessed), now);
  }

  private fallBackOn(event: EventKind, now: number): boolean {
    const fallback = this.binding?.policy.fallback ?? null;
    if (fallback === null || !fallback.on.hasEvent(event) || !this.mayFallBack()) return false;
    this.decision.fellBack = true;
    this.respond(fallbackAnswer(fallback), now);
    return true;
  }

  /** A static answer cannot be given to a gRPC caller that the gateway passes through: it has no message to send. */
  private mayFallBack(): boolean {
    const { place, asSent } = this.context as CallContext;
    return place === "client" || asSent !== null || !(this.facts as RequestFacts).grpc;
  }

  private respond(response: LocalResponse, now: number): void {
    this.response = response;
    this.push(Effect.respond, 0, 0);
    const grpc = (this.facts as RequestFacts).grpc;
    const { error } = response;
    this.finish(response.status, grpc ? (error === null ? 0 : grpcNumber(error.code)) : -1, error?.reason ?? "", now);
  }

  private abortDelivery(reason: string, code: "unavailable" | "deadline_exceeded", message: string, now: number): void {
    const status = code === "unavailable" ? 502 : 504;
    this.response = errorAnswer(code, status, reason, message);
    this.decision.stop = "committed";
    this.endAttempts(reason === "DEADLINE_EXCEEDED" ? "timeout" : "cancelled", now);
    this.push(Effect.abort, 0, 0);
    this.finish(status, (this.facts as RequestFacts).grpc ? grpcNumber(code) : -1, reason, now);
  }

  private endAttempts(outcome: string, now: number): void {
    for (const attempt of this.decision.attempts) {
      if (!attempt.live) continue;
      if (!attempt.judged) {
        attempt.judged = true;
        (this.binding as Binding).breaker?.forget(attempt.probe);
      }
      this.settle(attempt, outcome, now);
      this.push(Effect.cancel, attempt.number, 0);
    }
  }

  private finish(status: number, grpcStatus: number, reason: string, now: number): void {
    const { decision, shared } = this;
    this.endAttempts("cancelled", now);
    this.stopWaiting();
    if (this.deadlineRuns) {
      this.deadlineRuns = false;
      this.push(Effect.cancelTimer, TIMER_DEADLINE, 0);
    }
    this.phase = ENDED;
    this.ended = true;
    decision.durationMs = now - decision.startedAt;
    decision.outcome.status = status;
    decision.outcome.grpcStatus = grpcStatus;
    decision.outcome.reason = reason;
    decision.explained = shared.record === "all" || (shared.record === "failed" && decision.failed);
    this.push(Effect.end, 0, 0);
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

/** Timer ids; attempts have TIMER_TRY + number. */
const TIMER_DEADLINE = 1;
const TIMER_WAIT = 2;
const TIMER_TRY = 2;

/** How long the shared limiter may take to answer. */
const QUERY_MS = 50;
/** Body bytes that may come before it is clear which policy holds. */
const KEPT_BYTES = 65_536;
/** A server that wants more patience than this means the caller, not a retry. */
const MAX_PUSHBACK_MS = 5_000;
const NO_FIELDS: readonly string[] = [];
const NO_SLOTS: readonly number[] = [];
const NO_REQUEST: CallRequest = {
  method: "",
  scheme: "",
  authority: "",
  path: "",
  protocol: "",
  fields: [],
  memo: null,
};
const MIRROR_PICK = new Attempt();
