import type { AttemptFailure, BodyStore } from "../policy/call.ts";
import { type Call, Effect } from "../policy/call.ts";
import type { Query } from "../policy/machine/query.ts";
import { formatGrpcTimeout } from "../wire/grpc/timeout.ts";
import type { Head } from "../wire/head.ts";
import type { ClientConnection } from "../wire/stream.ts";
import { Attempt } from "./attempt.ts";
import { attemptFields } from "./caller-attempt.ts";
import type { CarrierState } from "./carrier.ts";
import { KeptBody } from "./kept-body.ts";
import { Mirror } from "./mirror.ts";
import { Nobody } from "./nobody.ts";
import { changedResponse } from "./response-changes.ts";
import { SLICE_MS, ThrottledBody } from "./throttled-body.ts";
import { TimedCall } from "./timed-call.ts";
import type { CallContext, CarriedCall, Downstream } from "./types.ts";
import { upgradeRequest } from "./upgrade.ts";
import { factsOf } from "./upstream-head.ts";

/**
 * One call on its way: tells the call machine what happens, and carries out what it wants.
 *
 *     downstream --data/trailers/credit/cancel--> CarriedRequest <--head/data/trailers/reset-- Attempt(s) <-- upstream streams
 *                                                   |     ^
 *                                             events|     |effects (drain)
 *                                                   v     |
 *                                                 policy's Call
 *
 * R1. Effects are drained after every event, by one loop: an event from inside an effect only adds to what that loop will see.
 * R2. Request bytes are kept while an attempt may still need them: until every attempt that was begun has a stream, and while the machine
 *     may make another one. Each attempt is sent the whole body in order, exactly once.
 * R3. Response bytes go downstream only from the attempt that policy delivers; those of others are held within their window, or dropped.
 * R4. After `end` nothing is sent either way, nothing waits in the pool, no timer runs, and the machine has been given back.
 */
export class CarriedRequest extends TimedCall implements CarriedCall {
  private readonly request: Head;
  private readonly extra: readonly string[] | null;
  private readonly context: CallContext;
  private readonly downstream: Downstream;
  private readonly call: Call;
  private draining = false;
  // request
  /** The request's end has been sent on every stream there is. */
  requestEnded: boolean;
  private requestTrailers: Head | null = null;
  private kept: KeptBody | null = null;
  /** Request bytes that are no longer kept: no further attempt can be sent the body. */
  private forgot = false;
  private requestPaused = false;
  /** data() answered false and onWritable is owed. */
  private requestBlocked = false;
  // attempts not done, newest first; one unless policy hedges
  private attempts: Attempt | null = null;
  private delivering: Attempt | null = null;
  private mirrors: Mirror[] | null = null;
  // response
  private responsePaused = false;
  private owedCredit = 0;
  /** Where a copy of the body goes; null when nobody wants one, or once it is complete. */
  private store: BodyStore | null = null;
  /** Paces the body; null when it may go as it comes. */
  private throttle: ThrottledBody | null = null;
  // session (after an upgrade)
  private session = false;
  private carriedUp = 0;
  private carriedDown = 0;
  /** When bytes were last carried. */
  private carriedAt = 0;
  private upEnded = false;
  private downEnded = false;

  constructor(
    carrier: CarrierState,
    request: Head,
    extra: readonly string[] | null,
    context: CallContext,
    downstream: Downstream,
    fin: boolean,
  ) {
    super(carrier);
    this.request = request;
    this.extra = extra;
    this.context = context;
    this.downstream = downstream;
    this.requestEnded = fin && request.protocol === ""; // an upgrade's bytes come after the switch
    this.call = carrier.policy.createCall();
    this.call.waker = this;
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

  begin(): void {
    const now = this.carrier.clock.now();
    this.carrier.inFlight++;
    this.call.begin(this.request, this.context, !this.requestEnded, now);
    this.drain(now);
  }

  // --- from downstream ----------------------------------------------------------------------------------------

  data(chunk: Uint8Array, start: number, end: number, fin: boolean): boolean {
    if (this.ended || this.requestEnded) return true;
    const call = this.call;
    if (this.session) return this.sessionUp(chunk, start, end, fin);
    this.requestEnded = fin;
    let waiting = this.attempts === null;
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next)
      if (attempt.stream === null) waiting = true;
    const keep = waiting || (!call.committed && call.replayable);
    // Kept before it is sent or told: what follows may begin an attempt that needs it.
    if (keep) (this.kept ??= new KeptBody()).append(chunk, start, end, this.carrier.slab);
    else this.forget(end > start);
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next) {
      if (attempt.stream !== null && !attempt.stream.sendData(chunk, start, end, fin)) attempt.blocked = true;
    }
    if (this.mirrors !== null) for (const mirror of this.mirrors) mirror.data(chunk, start, end, fin);
    const now = this.carrier.clock.now();
    if (end > start) call.requestData(end - start, now);
    if (fin) call.requestEnd(now);
    this.drain(now);
    return this.ended || this.requestEnded || this.requestWritable();
  }

  trailers(head: Head): void {
    if (this.ended || this.requestEnded) return;
    this.requestEnded = true;
    this.requestTrailers = head;
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next)
      attempt.stream?.sendTrailers(head, null);
    if (this.mirrors !== null) for (const mirror of this.mirrors) mirror.data(EMPTY, 0, 0, true);
    const now = this.carrier.clock.now();
    this.call.requestEnd(now);
    this.drain(now);
  }

  credit(bytes: number): void {
    if (this.ended) return;
    if (this.responsePaused) this.owedCredit += bytes;
    else this.delivering?.stream?.credit(bytes);
  }

  cancel(): void {
    if (this.ended) return;
    const now = this.carrier.clock.now();
    this.call.downstreamGone(now);
    this.drain(now);
  }

  // --- from attempts and timers -------------------------------------------------------------------------------

  onConnection(attempt: Attempt, connection: ClientConnection): void {
    const now = this.carrier.clock.now();
    this.open(attempt, connection, now);
    this.drain(now);
    this.tellWritable();
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

  onAttemptWritable(_attempt: Attempt): void {
    this.tellWritable();
  }

  onResponseHead(attempt: Attempt, head: Head, fin: boolean): void {
    if (head.status < 200 && head.status !== 101) {
      // Interim responses say nothing about the outcome; they pass on while it is clear whose they are.
      if (attempt === this.attempts && attempt.next === null) this.downstream.onHead(head, false);
      return;
    }
    attempt.responseHead = head;
    attempt.headFin = fin;
    const now = this.carrier.clock.now();
    this.call.head(attempt.number, head.status, head.fields, fin, now);
    this.drain(now);
    if (fin) this.afterResponse(attempt);
  }

  onResponseData(attempt: Attempt, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.throttle !== null && this.delivering === attempt) {
      this.throttle.add(chunk, start, end, fin);
      this.pace(this.carrier.clock.now());
    } else this.passData(attempt, chunk, start, end, fin);
  }

  private passData(attempt: Attempt, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.delivering === attempt) {
      if (this.session) {
        this.sessionDown(chunk, start, end, fin);
        return;
      }
      if (this.store !== null) this.keep(this.store, chunk, start, end, fin);
      this.downstream.onData(chunk, start, end, fin);
      if (this.ended) return;
    } else attempt.hold(chunk, start, end, fin);
    const now = this.carrier.clock.now();
    this.call.responseData(attempt.number, end - start, fin, now);
    this.drain(now);
    if (fin) this.afterResponse(attempt);
  }

  onResponseTrailers(attempt: Attempt, head: Head): void {
    if (this.throttle !== null && this.delivering === attempt) {
      this.throttle.trailers = head;
      this.pace(this.carrier.clock.now());
    } else this.passTrailers(attempt, head);
  }

  private passTrailers(attempt: Attempt, head: Head): void {
    if (this.delivering === attempt) {
      if (this.store !== null) this.keep(this.store, EMPTY, 0, 0, true);
      this.downstream.onTrailers(head);
      if (this.ended) return;
    } else attempt.heldTrailers = head;
    const now = this.carrier.clock.now();
    this.call.trailers(attempt.number, head.fields, now);
    this.drain(now);
    this.afterResponse(attempt);
  }

  override onTimer(id: number, now: number): void {
    if (this.ended) return;
    if (id === PACE_TIMER) {
      this.pace(now);
      return;
    }
    // A session's bytes are told now and then; for its idle time-out they have to be told before.
    if (this.session && this.carriedUp + this.carriedDown > 0) this.tellCarriedNow();
    this.call.timer(id, now);
    this.drain(now);
    this.tellWritable();
  }

  // --- effects ------------------------------------------------------------------------------------------------

  private drain(now: number): void {
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
          this.responsePaused = true;
          break;
        case Effect.resumeResponse:
          this.responsePaused = false;
          if (this.owedCredit > 0) {
            this.delivering?.stream?.credit(this.owedCredit);
            this.owedCredit = 0;
          }
          break;
      }
    }
  }

  private forward(now: number): void {
    const call = this.call;
    const endpoint = call.endpoint;
    if (endpoint === null) throw new Error("the call machine forwards without an endpoint");
    const facts = factsOf(this.request);
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
    attempt.next = this.attempts;
    this.attempts = attempt;
    const connection = this.carrier.pool.acquire(endpoint, attempt, call.bounds);
    if (connection !== null) this.open(attempt, connection, now);
  }

  /** Sends the head, and as much of the body as came before. */
  private open(attempt: Attempt, connection: ClientConnection, now: number): void {
    const kept = this.kept;
    const body = kept !== null && kept.bytes > 0;
    const fin = this.requestEnded && !body && this.requestTrailers === null;
    try {
      if (this.forgot) throw new Error("the request body is no longer kept");
      const head = attempt.head.protocol === "" ? attempt.head : upgradeRequest(attempt.head, connection.version);
      let extra = this.extra;
      if (attempt.timeoutMs !== NEVER) {
        const value = formatGrpcTimeout(attempt.timeoutMs - (now - attempt.begunAt));
        extra = extra === null ? ["grpc-timeout", value] : [...extra, "grpc-timeout", value];
      }
      const { callerAttempt } = this.context;
      if (attempt.told > 1 || callerAttempt > 1) {
        const fields = attemptFields(attempt.told, callerAttempt, factsOf(this.request).grpc);
        extra = extra === null ? fields : [...extra, ...fields];
      }
      attempt.stream = connection.request(head, extra, fin, attempt);
    } catch (error) {
      // The head cannot be said in the upstream's protocol, or the connection went in this very turn.
      attempt.done = true;
      this.unlink(attempt);
      const message = error instanceof Error ? error.message : String(error);
      this.call.failed(attempt.number, { kind: "protocol", unprocessed: true, message }, now);
      return;
    }
    this.call.connected(attempt.number, now);
    if (fin) return;
    const stream = attempt.stream;
    if (body && !kept.sendTo(stream, this.requestEnded && this.requestTrailers === null)) attempt.blocked = true;
    if (this.requestTrailers !== null) stream.sendTrailers(this.requestTrailers, null);
    if (body && !this.mayNeedBody()) this.forget(true);
  }

  private deliver(): void {
    const attempt = this.find(this.call.attempt);
    if (attempt === null || attempt.responseHead === null) return;
    this.delivering = attempt;
    if (this.kept !== null) this.forget(true);
    const { request, downstream } = this;
    const head = attempt.responseHead;
    const status = head.status;
    this.session = status === 101 || ((request.protocol !== "" || request.method === "CONNECT") && status < 300);
    const { store, bytesPerSecond } = this.call;
    if (store !== null) this.beginStore(store, attempt.headFin);
    if (bytesPerSecond > 0 && !this.session)
      this.throttle = new ThrottledBody(bytesPerSecond, this.carrier.clock.now());
    downstream.onHead(changedResponse(head, this.call.addFields, this.call.removeFields), attempt.headFin);
    if (attempt.held !== null || attempt.heldFin || attempt.heldTrailers !== null) this.deliverHeld(attempt);
  }

  private deliverHeld(attempt: Attempt): void {
    const downstream = this.downstream;
    const held = attempt.held ?? [];
    attempt.held = null;
    if (this.throttle !== null) {
      for (const piece of held) this.throttle.add(piece, 0, piece.length, false);
      this.throttle.fin = attempt.heldFin;
      this.throttle.trailers = attempt.heldTrailers;
      this.pace(this.carrier.clock.now());
      return;
    }
    const { store } = this;
    if (store !== null) {
      for (const piece of held) store.data(piece, 0, piece.length);
      if (attempt.heldFin || attempt.heldTrailers !== null) this.keep(store, EMPTY, 0, 0, true);
    }
    for (let i = 0; i < held.length && !this.ended; i++) {
      downstream.onData(held[i], 0, held[i].length, attempt.heldFin && i === held.length - 1);
    }
    if (this.ended) return;
    if (attempt.heldFin && held.length === 0) downstream.onData(EMPTY, 0, 0, true);
    if (attempt.heldTrailers !== null && !this.ended) downstream.onTrailers(attempt.heldTrailers);
  }

  /** Passes on what the throttle lets through, and comes back for the rest. */
  private pace(now: number): void {
    const { throttle, delivering } = this;
    if (throttle === null || delivering === null) return;
    for (let piece = throttle.take(now); piece !== null; piece = throttle.take(now)) {
      const last = throttle.empty && throttle.fin;
      this.passData(delivering, piece, 0, piece.length, last);
      if (last || this.ended) return;
    }
    if (!throttle.empty) this.startTimer(PACE_TIMER, SLICE_MS, now);
    else if (throttle.trailers !== null) this.passTrailers(delivering, throttle.trailers);
    else if (throttle.fin) this.passData(delivering, EMPTY, 0, 0, true);
  }

  /** A downstream that turns the response into another one keeps that. */
  private beginStore(store: BodyStore, fin: boolean): void {
    if (this.downstream.takeStore !== undefined) this.downstream.takeStore(store);
    else if (fin) store.end();
    else this.store = store;
  }

  private keep(store: BodyStore, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) store.data(chunk, start, end);
    if (!fin) return;
    this.store = null;
    store.end();
  }

  private abandon(number: number): void {
    const attempt = this.find(number);
    if (attempt === null) return;
    this.unlink(attempt);
    attempt.abandon();
  }

  private end(): void {
    this.ended = true;
    const carrier = this.carrier;
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next) attempt.abandon();
    this.freeTimers();
    this.attempts = this.delivering = this.kept = this.throttle = null;
    if (this.store !== null) {
      const { store } = this;
      this.store = null;
      store.abort();
    }
    if (this.mirrors !== null && !this.requestEnded) for (const mirror of this.mirrors) mirror.stop();
    carrier.inFlight--;
    this.downstream.onEnd(this.call.decision);
    carrier.policy.release(this.call);
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

  private mirror(): void {
    const endpoint = this.call.endpoint;
    if (endpoint === null) return;
    const head = factsOf(this.request).upstreamHead(this.call.addFields, this.call.removeFields, "", "", false);
    const mirror = new Mirror(this.carrier.pool, endpoint, head, this.extra, this.requestEnded);
    if (this.requestEnded) return;
    (this.mirrors ??= []).push(mirror);
  }

  // --- request body -------------------------------------------------------------------------------------------

  private mayNeedBody(): boolean {
    if (!this.call.committed && this.call.replayable) return true;
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next)
      if (attempt.stream === null) return true;
    return false;
  }

  private forget(bytes: boolean): void {
    this.kept = null;
    if (bytes) this.forgot = true;
  }

  /** Whether the request may go on; if not, onWritable is owed. */
  private requestWritable(): boolean {
    let blocked = this.requestPaused;
    let waiting = this.attempts === null;
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next) {
      if (attempt.stream === null) waiting = true;
      else if (attempt.blocked) blocked = true;
    }
    if (waiting && this.kept !== null && this.kept.bytes >= this.carrier.maxKeptBytes) blocked = true;
    this.requestBlocked = blocked;
    return !blocked;
  }

  private tellWritable(): void {
    if (this.ended || !this.requestBlocked) return;
    if (this.requestWritable()) this.downstream.onWritable();
  }

  // --- session ------------------------------------------------------------------------------------------------

  private sessionUp(chunk: Uint8Array, start: number, end: number, fin: boolean): boolean {
    const attempt = this.delivering;
    if (attempt === null || attempt.stream === null) return true;
    this.carriedUp += end - start;
    this.carriedAt = this.carrier.clock.now();
    if (fin) this.requestEnded = this.upEnded = true;
    const writable = attempt.stream.sendData(chunk, start, end, fin);
    if (!writable) attempt.blocked = this.requestBlocked = true;
    this.tellCarried();
    return writable;
  }

  private sessionDown(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.carriedDown += end - start;
    this.carriedAt = this.carrier.clock.now();
    if (fin) this.downEnded = true;
    this.downstream.onData(chunk, start, end, fin);
    if (!this.ended) this.tellCarried();
  }

  private tellCarried(): void {
    const over = this.upEnded && this.downEnded;
    if (!over && this.carriedUp + this.carriedDown < TELL_CARRIED_BYTES) return;
    this.tellCarriedNow();
    if (over) this.call.sessionEnd(this.carriedAt);
    this.drain(this.carriedAt);
  }

  private tellCarriedNow(): void {
    this.call.carried(this.carriedUp, this.carriedDown, this.carriedAt);
    this.carriedUp = this.carriedDown = 0;
  }

  // --- attempts -----------------------------------------------------------------------------------------------

  /** A response that is complete but not delivered: a retry follows, or hedging's other attempt won. */
  private afterResponse(attempt: Attempt): void {
    if (this.ended || this.delivering === attempt || attempt.done) return;
    this.unlink(attempt);
    attempt.abandon();
  }

  private find(number: number): Attempt | null {
    let attempt = this.attempts;
    while (attempt !== null && attempt.number !== number) attempt = attempt.next;
    return attempt;
  }

  private unlink(attempt: Attempt): void {
    if (this.attempts === attempt) {
      this.attempts = attempt.next;
      return;
    }
    for (let before = this.attempts; before !== null; before = before.next) {
      if (before.next === attempt) {
        before.next = attempt.next;
        return;
      }
    }
  }
}

const EMPTY = new Uint8Array(0);
const NEVER = Number.POSITIVE_INFINITY;
/** Beside the machine's own, which are below 32. */
const PACE_TIMER = 32;
/** How often a long session's bytes are told to the machine. */
const TELL_CARRIED_BYTES = 262_144;
