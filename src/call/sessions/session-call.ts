import type { Endpoint } from "../../core/endpoint.ts";
import {
  type AttemptFailure,
  type Call,
  type CallContext,
  type Decision,
  Effect,
  type LocalResponse,
} from "../../policy/call.ts";
import type { Query } from "../../policy/machine/query.ts";
import type { SessionRequest } from "../../policy/route/session-request.ts";
import type { CarrierState } from "../carrier.ts";
import { TimedCall } from "../timed-call.ts";

/** Hears how a session ended. The decision is valid during the call only. */
export type OnSessionEnd = (request: SessionRequest, context: CallContext, decision: Decision) => void;

/**
 * One session of bytes on its way: tells the call machine what happens, and carries out what it wants. What its bytes are carried over is in the classes that
 * extend it.
 *
 *     begin -> [gates] -> forward: open(attempt) --failed--> forward: another endpoint
 *                                        \--opened--> deliver: bytes go both ways -> over | lost -> end
 *
 * S1. Effects are drained after every event, by one loop.
 * S2. Its bytes are told to the machine before anything that it decides by them: a timer, a failure, the end.
 * S3. After `end` nothing is sent either way, no attempt is open, no timer runs, and the machine has been given back.
 */
export abstract class SessionCall extends TimedCall {
  protected readonly request: SessionRequest;
  protected readonly context: CallContext;
  protected readonly call: Call;
  /** The attempt whose endpoint the session is with; 0 before. */
  protected attempt = 0;
  readonly #onEnd: OnSessionEnd;
  readonly #idleMs: number;
  #draining = false;
  #sent = 0;
  #received = 0;
  /** When bytes last went either way. */
  #carriedAt = 0;

  /** `idleMs`: it ends when for so long no byte went either way; policy may say sooner. */
  constructor(
    carrier: CarrierState,
    request: SessionRequest,
    context: CallContext,
    onEnd: OnSessionEnd,
    idleMs: number,
  ) {
    super(carrier);
    this.#idleMs = idleMs;
    this.request = request;
    this.context = context;
    this.#onEnd = onEnd;
    this.call = carrier.policy.createCall();
  }

  /** Connects; tells opened() or failed(), not before it has returned. */
  protected abstract open(attempt: number, endpoint: Endpoint): void;
  /** The attempt is given up. */
  protected abstract abandon(attempt: number): void;
  /** From now on bytes go both ways. */
  protected abstract deliver(): void;
  /** The session ends by what policy or the upstream says: the client is told as far as bytes can. */
  protected abstract refuse(response: LocalResponse): void;
  /** Everything of it is to be closed. */
  protected abstract close(): void;

  begin(): void {
    const now = this.carrier.clock.now();
    this.carrier.inFlight++;
    this.call.waker = this;
    this.call.begin(this.request, this.context, true, now);
    this.drain(now);
  }

  /** Another call's end lets this one go on, which waits at a gate. */
  wake(): void {
    this.carrier.wakes.add(this);
  }

  awake(): void {
    this.#tell((now) => this.call.woken(now));
  }

  /** The client is gone. */
  protected gone(): void {
    this.#tell((now) => this.call.downstreamGone(now));
  }

  /** `secure`: over mutual TLS with the endpoint that was meant. */
  protected opened(attempt: number, secure = false): void {
    this.#tell((now) => {
      this.call.connected(attempt, now, secure);
      this.call.head(attempt, 200, NO_FIELDS, false, now);
    });
  }

  protected failed(attempt: number, failure: AttemptFailure): void {
    this.#tell((now) => {
      this.fireOverdue(now);
      if (!this.ended) this.call.failed(attempt, failure, now);
    });
  }

  protected over(): void {
    this.#tell((now) => this.call.sessionEnd(now));
  }

  /** Bytes went to the upstream, or came from it. */
  protected carried(sent: number, received: number): void {
    this.#sent += sent;
    this.#received += received;
    this.#carriedAt = this.carrier.clock.now();
    if (this.#sent + this.#received >= TELL_BYTES) this.#tellCarried();
  }

  override onTimer(id: number, now: number): void {
    if (this.ended) return;
    if (id === IDLE_TIMER) {
      const silentMs = now - this.#carriedAt;
      if (silentMs >= this.#idleMs) this.over();
      else this.startTimer(IDLE_TIMER, this.#idleMs - silentMs, now);
      return;
    }
    this.#tellCarried();
    this.call.timer(id, now);
    this.drain(now);
  }

  #tell(event: (now: number) => void): void {
    if (this.ended) return;
    this.#tellCarried();
    const now = this.carrier.clock.now();
    event(now);
    this.drain(now);
  }

  #tellCarried(): void {
    if (this.#sent + this.#received === 0) return;
    this.call.carried(this.#sent, this.#received, this.#carriedAt);
    this.#sent = this.#received = 0;
  }

  protected drain(now: number): void {
    if (this.#draining) return;
    this.#draining = true;
    const { call } = this;
    while (!this.ended) {
      switch (call.next()) {
        case Effect.none:
          this.#draining = false;
          return;
        case Effect.forward:
          this.open(call.attempt, call.endpoint as Endpoint);
          break;
        case Effect.deliver:
          this.attempt = call.attempt;
          this.#carriedAt = now;
          this.startTimer(IDLE_TIMER, this.#idleMs, now);
          this.deliver();
          break;
        case Effect.cancel:
          this.abandon(call.attempt);
          break;
        case Effect.respond:
        case Effect.abort:
          if (call.response !== null) this.refuse(call.response);
          break;
        case Effect.startTimer:
          this.startTimer(call.timerId, call.timerMs, now);
          break;
        case Effect.cancelTimer:
          this.cancelTimer(call.timerId);
          break;
        case Effect.query:
          this.#query(call.queryId, call.query as Query);
          break;
        case Effect.end:
          this.#end();
          return;
        default: // of requests: bodies, copies, credit
          break;
      }
    }
  }

  #query(id: number, query: Query): void {
    const ask = this.carrier.query;
    if (ask === undefined) return this.call.answered(id, null, this.carrier.clock.now());
    let open = true;
    ask(query, (result) => {
      if (!open) return;
      open = false;
      this.#tell((now) => this.call.answered(id, result, now));
    });
  }

  #end(): void {
    this.ended = true;
    this.freeTimers();
    this.close();
    this.carrier.inFlight--;
    this.#onEnd(this.request, this.context, this.call.decision);
    this.carrier.policy.release(this.call);
  }
}

const NO_FIELDS: readonly string[] = [];
/** Beside the machine's own, which are below 32. */
const IDLE_TIMER = 33;
/** How often a long session's bytes are told to the machine. */
const TELL_BYTES = 262_144;
