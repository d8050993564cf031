import type { AttemptFailure, CallContext, CallRequest } from "../call.ts";
import { CallMachine } from "../machine/call-machine.ts";
import { recordableAnswer } from "../security/recordable-answer.ts";
import type { RuntimeState } from "../snapshot/runtime-state.ts";
import type { CallRecorder } from "./call-recorder.ts";
import type { RecordedEvent } from "./recorded.ts";

/**
 * A call machine that writes down what it is told and what it reads. Only calls that are recorded have one, so that others pay nothing. Events that tell the
 * machine nothing (parts of bodies where no idle time-out counts them) are left out.
 */
export class RecordingMachine extends CallMachine {
  readonly #recorder: CallRecorder;
  readonly #events: RecordedEvent[] = [];
  readonly #message = new Map<string, string>();
  #snapshot = 0;
  #bodyFollows = false;
  #left = MAX_EVENTS;

  constructor(shared: RuntimeState, recorder: CallRecorder) {
    super(shared);
    this.#recorder = recorder;
  }

  /** Gives what was recorded to the recorder. Only after the end. */
  writeDown(): void {
    const { request, context, tape } = this.state;
    if (context === null) return;
    if (this.#left < 0) return this.#recorder.lost(1);
    this.#recorder.call({
      request,
      context,
      bodyFollows: this.#bodyFollows,
      snapshot: this.#snapshot,
      events: this.#events,
      message: this.#message,
      tape: tape.recorded,
      decision: this.decision,
    });
  }

  override begin(request: CallRequest, context: CallContext, bodyFollows: boolean, now: number): void {
    this.#snapshot = this.#recorder.snapshot;
    this.#bodyFollows = bodyFollows;
    this.state.tape.record();
    super.begin(request, this.#overheard(context), bodyFollows, now);
  }

  override answered(queryId: number, result: unknown, now: number): void {
    const kind = this.query?.kind ?? "";
    this.#push(["answered", now, kind, this.#recorder.redactor.data(plain(recordableAnswer(kind, result)))]);
    super.answered(queryId, result, now);
  }

  override requestData(bytes: number, now: number): void {
    this.#push(["requestData", now, bytes]);
    super.requestData(bytes, now);
  }

  override requestEnd(now: number): void {
    this.#push(["requestEnd", now]);
    super.requestEnd(now);
  }

  override connected(attempt: number, now: number, secure = false): void {
    this.#push(["connected", now, attempt]);
    super.connected(attempt, now, secure);
  }

  override head(attempt: number, status: number, fields: readonly string[], fin: boolean, now: number): void {
    this.#push(["head", now, attempt, status, this.#recorder.redactor.responseFields(fields), fin]);
    super.head(attempt, status, fields, fin, now);
  }

  override responseData(attempt: number, bytes: number, fin: boolean, now: number): void {
    const idles = (this.state.binding?.policy.idleTimeout ?? Number.POSITIVE_INFINITY) !== Number.POSITIVE_INFINITY;
    if (fin || idles) this.#push(["responseData", now, attempt, bytes, fin]);
    super.responseData(attempt, bytes, fin, now);
  }

  override trailers(attempt: number, fields: readonly string[], now: number): void {
    this.#push(["trailers", now, attempt, this.#recorder.redactor.responseFields(fields)]);
    super.trailers(attempt, fields, now);
  }

  override failed(attempt: number, failure: AttemptFailure, now: number): void {
    this.#push(["failed", now, attempt, failure]);
    super.failed(attempt, failure, now);
  }

  override timer(timerId: number, now: number): void {
    this.#push(["timer", now, timerId]);
    super.timer(timerId, now);
  }

  override woken(now: number): void {
    this.#push(["woken", now]);
    super.woken(now);
  }

  override downstreamGone(now: number): void {
    this.#push(["downstreamGone", now]);
    super.downstreamGone(now);
  }

  override sessionEnd(now: number): void {
    this.#push(["sessionEnd", now]);
    super.sessionEnd(now);
  }

  #push(event: RecordedEvent): void {
    if (--this.#left >= 0) this.#events.push(event);
  }

  /** The caller's context, with what policy asks of the message written down. */
  #overheard(context: CallContext): CallContext {
    const { messageField } = context;
    if (messageField === undefined) return context;
    return {
      ...context,
      messageField: (path) => {
        const value = messageField.call(context, path);
        if (value !== undefined) this.#message.set(path, value);
        return value;
      },
    };
  }
}

/** As it is after JSON. */
function plain(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}

/** Of one call. Long streams under an idle time-out have more, and are not recorded. */
const MAX_EVENTS = 512;
