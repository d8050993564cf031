import { type AttemptFailure, Effect } from "../policy/call.ts";
import type { Query } from "../policy/machine/query.ts";
import { Attempt } from "./attempt.ts";
import { Nobody } from "./nobody.ts";
import { PACE_TIMER, ResponseSide } from "./response-side.ts";
import type { CarriedCall } from "./types.ts";
import { changesFieldsBeside, factsOf, withFields } from "./upstream-head.ts";

/**
 * One call on its way: tells the call machine what happens, and carries out what it wants.
 *
 *     downstream --data/trailers/credit/cancel--> CarriedRequest <--head/data/trailers/reset-- Attempt(s) <-- upstream streams
 *                                                   |     ^
 *                                             events|     |effects (drain)
 *                                                   v     |
 *                                                 policy's Call
 *
 * What goes up is in request-side.ts, what comes down in response-side.ts; here is what the machine wants, and beginning and end.
 *
 * R1. Effects are drained after every event, by one loop: an event from inside an effect only adds to what that loop will see.
 * R2. Request bytes are kept while an attempt may still need them: until every attempt that was begun has a stream, and while the machine
 *     may make another one. Each attempt is sent the whole body in order, exactly once.
 * R3. Response bytes go downstream only from the attempt that policy delivers; those of others are held within their window, or dropped.
 * R4. After `end` nothing is sent either way, nothing waits in the pool, no timer runs, and the machine has been given back.
 */
export class CarriedRequest extends ResponseSide implements CarriedCall {
  private draining = false;

  begin(): void {
    const now = this.carrier.clock.now();
    this.carrier.inFlight++;
    this.call.waker = this;
    this.call.begin(this.request, this.context, !this.requestEnded, now);
    this.drain(now);
  }

  /** Another call's end lets this one go on, which waits at a gate. */
  wake(): void {
    this.carrier.wakes.add(this);
  }

  awake(): void {
    if (this.ended) return;
    const now = this.carrier.clock.now();
    this.call.woken(now);
    this.drain(now);
    this.tellWritable();
  }

  cancel(): void {
    if (this.ended) return;
    const now = this.carrier.clock.now();
    this.call.downstreamGone(now);
    this.drain(now);
  }

  onAttemptFailed(attempt: Attempt, failure: AttemptFailure): void {
    attempt.done = true;
    this.unlink(attempt);
    const now = this.carrier.clock.now();
    // The wheel is coarse: a timer that is overdue came first. (A server ends a call at its deadline by a reset, which is no failure of its own.)
    this.fireOverdue(now);
    if (this.ended) return;
    this.call.failed(attempt.number, failure, now);
    this.drain(now);
  }

  override onTimer(id: number, now: number): void {
    if (this.ended) return;
    if (id === PACE_TIMER) {
      this.pace(now);
      return;
    }
    this.tellCarriedBytes();
    this.call.timer(id, now);
    this.drain(now);
    this.tellWritable();
  }

  // --- effects ------------------------------------------------------------------------------------------------

  protected drain(now: number): void {
    if (this.draining) return;
    this.draining = true;
    const call = this.call;
    while (!this.ended) {
      const effect = call.next();
      switch (effect) {
        case Effect.none:
          this.draining = false;
          return;
        case Effect.forward:
          this.forward(now);
          break;
        case Effect.deliver:
          this.deliver();
          break;
        case Effect.startTimer:
          this.startTimer(call.timerId, call.timerMs, now);
          break;
        case Effect.cancelTimer:
          this.cancelTimer(call.timerId);
          break;
        case Effect.end:
          this.end();
          return;
        case Effect.cancel:
          this.abandon(call.attempt);
          break;
        case Effect.respond:
          if (call.response !== null) this.downstream.onLocal(call.response);
          break;
        case Effect.abort:
          if (call.response !== null) this.downstream.onAbort(call.response);
          break;
        case Effect.replayBody:
          break; // whatever is kept is sent as soon as an attempt has its stream (open)
        case Effect.query:
          this.query(call.queryId, call.query as Query);
          break;
        case Effect.mirror:
          this.mirror();
          break;
        case Effect.refresh:
          this.refresh();
          break;
        case Effect.pauseRequest:
          this.requestPaused = true;
          break;
        case Effect.resumeRequest:
          this.requestPaused = false;
          this.tellWritable();
          break;
        case Effect.pauseResponse:
          this.pauseResponse();
          break;
        case Effect.resumeResponse:
          this.resumeResponse();
          break;
      }
    }
  }

  private forward(now: number): void {
    const call = this.call;
    const endpoint = call.endpoint;
    if (endpoint === null) throw new Error("the call machine forwards without an endpoint");
    const merged = changesFieldsBeside(this.context, call.addFields, call.removeFields);
    const facts = factsOf(merged ? withFields(this.request, this.extra) : this.request);
    const timeoutMs = call.timeoutMs;
    const tellTimeout = facts.grpc && timeoutMs !== NEVER;
    // Over plain HTTP the caller's own deadline goes on, and what is left of it; policy's limits there end when the answer begins.
    const tellDeadline = !facts.grpc && facts.hasTimeout && this.context.deadline !== NEVER;
    const head = facts.upstreamHead(
      call.addFields,
      call.removeFields,
      call.rewritePath,
      call.rewriteAuthority,
      (tellTimeout || tellDeadline) && facts.hasTimeout,
    );
    const toldMs = tellTimeout ? timeoutMs : tellDeadline ? this.context.deadline - now : NEVER;
    const attempt = new Attempt(this, call.attempt, endpoint, head, toldMs, now, call.repeats);
    attempt.extra = merged ? null : this.extra;
    attempt.next = this.attempts;
    this.attempts = attempt;
    const connection = this.carrier.pool.acquire(endpoint, attempt, call.bounds);
    if (connection !== null) this.open(attempt, connection, now);
  }

  private abandon(number: number): void {
    const attempt = this.find(number);
    if (attempt === null) return;
    this.unlink(attempt);
    attempt.abandon();
  }

  private query(id: number, query: Query): void {
    const ask = this.carrier.query;
    if (ask === undefined) {
      this.call.answered(id, null, this.carrier.clock.now());
      return;
    }
    let open = true;
    ask(query, (result) => {
      if (!open || this.ended) return;
      open = false;
      const now = this.carrier.clock.now();
      this.call.answered(id, result, now);
      this.drain(now);
      this.tellWritable(); // a connection that was there took what had been kept
    });
  }

  /** The same request once more, for nobody. */
  private refresh(): void {
    const { addFields, removeFields } = this.call;
    const head = factsOf(this.request).upstreamHead(addFields, removeFields, "", "", false);
    const nobody = new Nobody();
    nobody.call = this.carrier.begin(
      head,
      this.extra,
      { ...this.context, deadline: NEVER, refresh: true },
      nobody,
      true,
    );
  }

  private end(): void {
    this.ended = true;
    const carrier = this.carrier;
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next) attempt.abandon();
    this.freeTimers();
    this.attempts = this.kept = null;
    this.endResponse();
    if (this.mirrors !== null && !this.requestEnded) for (const mirror of this.mirrors) mirror.stop();
    carrier.inFlight--;
    this.downstream.onEnd(this.call.decision);
    carrier.policy.release(this.call);
  }
}

const NEVER = Number.POSITIVE_INFINITY;
