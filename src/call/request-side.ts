import type { Call, CallContext } from "../policy/call.ts";
import { formatGrpcTimeout } from "../wire/grpc/timeout.ts";
import type { Head } from "../wire/head.ts";
import type { ClientConnection } from "../wire/stream.ts";
import type { Attempt } from "./attempt.ts";
import { attemptFields } from "./caller-attempt.ts";
import type { CarrierState } from "./carrier.ts";
import { KeptBody } from "./kept-body.ts";
import { Mirror } from "./mirror.ts";
import { TimedCall } from "./timed-call.ts";
import type { Downstream } from "./types.ts";
import { upgradeRequest } from "./upgrade.ts";
import { changesFieldsBeside, factsOf, withFields } from "./upstream-head.ts";

/** The way up of a carried call: its attempts, and the request that each of them is sent. carried-request.ts says what must hold. */
export abstract class RequestSide extends TimedCall {
  protected readonly request: Head;
  protected readonly extra: readonly string[] | null;
  protected readonly context: CallContext;
  protected readonly downstream: Downstream;
  protected readonly call: Call;
  /** The request's end has been sent on every stream there is. */
  requestEnded: boolean;
  private requestTrailers: Head | null = null;
  protected kept: KeptBody | null = null;
  /** Request bytes that are no longer kept: no further attempt can be sent the body. */
  private forgot = false;
  protected requestPaused = false;
  /** data() answered false and onWritable is owed. */
  protected requestBlocked = false;
  /** Not done, newest first; one unless policy hedges. */
  protected attempts: Attempt | null = null;
  protected mirrors: Mirror[] | null = null;
  /** Bytes flow both ways, after an upgrade. */
  protected session = false;

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
  }

  protected abstract drain(now: number): void;
  protected abstract sessionUp(chunk: Uint8Array, start: number, end: number, fin: boolean): boolean;

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

  // --- from attempts ------------------------------------------------------------------------------------------

  onConnection(attempt: Attempt, connection: ClientConnection): void {
    const now = this.carrier.clock.now();
    this.open(attempt, connection, now);
    this.drain(now);
    this.tellWritable();
  }

  onAttemptWritable(_attempt: Attempt): void {
    this.tellWritable();
  }

  // --- to attempts --------------------------------------------------------------------------------------------

  /** Sends the head, and as much of the body as came before. */
  protected open(attempt: Attempt, connection: ClientConnection, now: number): void {
    const kept = this.kept;
    const body = kept !== null && kept.bytes > 0;
    const fin = this.requestEnded && !body && this.requestTrailers === null;
    try {
      if (this.forgot) throw new Error("the request body is no longer kept");
      const head = attempt.head.protocol === "" ? attempt.head : upgradeRequest(attempt.head, connection.version);
      let extra = attempt.extra;
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
    const { identity } = attempt.endpoint;
    this.call.connected(attempt.number, now, identity !== undefined && identity === connection.peer.identity);
    if (fin) return;
    const stream = attempt.stream;
    if (body && !kept.sendTo(stream, this.requestEnded && this.requestTrailers === null)) attempt.blocked = true;
    if (this.requestTrailers !== null) stream.sendTrailers(this.requestTrailers, null);
    if (body && !this.mayNeedBody()) this.forget(true);
  }

  protected mirror(): void {
    const endpoint = this.call.endpoint;
    if (endpoint === null) return;
    const { addFields, removeFields, rewritePath, rewriteAuthority } = this.call;
    const merged = changesFieldsBeside(this.context, addFields, removeFields);
    const request = merged ? withFields(this.request, this.extra) : this.request;
    const head = factsOf(request).upstreamHead(addFields, removeFields, rewritePath, rewriteAuthority, false);
    const mirror = new Mirror(this.carrier.pool, endpoint, head, merged ? null : this.extra, this.requestEnded);
    if (this.requestEnded) return;
    (this.mirrors ??= []).push(mirror);
  }

  private mayNeedBody(): boolean {
    if (!this.call.committed && this.call.replayable) return true;
    for (let attempt = this.attempts; attempt !== null; attempt = attempt.next)
      if (attempt.stream === null) return true;
    return false;
  }

  protected forget(bytes: boolean): void {
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

  protected tellWritable(): void {
    if (this.ended || !this.requestBlocked) return;
    if (this.requestWritable()) this.downstream.onWritable();
  }

  protected find(number: number): Attempt | null {
    let attempt = this.attempts;
    while (attempt !== null && attempt.number !== number) attempt = attempt.next;
    return attempt;
  }

  protected unlink(attempt: Attempt): void {
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
