import type { Endpoint } from "../core/endpoint.ts";
import type { ConnectionWaiter } from "../net/types.ts";
import type { AttemptFailure } from "../policy/call.ts";
import type { Head } from "../wire/head.ts";
import type { ClientConnection, HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import type { CarriedRequest } from "./carried-request.ts";
import { copyBytes } from "./copy-bytes.ts";

/**
 * One attempt of a call: waits for a connection, then hears the upstream stream. It tells everything to its call, and holds back what
 * arrives before policy has said `deliver` (or never will).
 *
 *     waiting --connection--> open --response and request ended, reset, cancelled--> done
 *        \------------------------connect failed, cancelled--------------------------^
 *
 * A1. After `done` neither the pool nor the stream has a reference that it will use.
 */
export class Attempt implements StreamSink, ConnectionWaiter {
  readonly owner: CarriedRequest;
  readonly number: number;
  readonly endpoint: Endpoint;
  /** What is sent upstream, and the fields that go beside it. */
  readonly head: Head;
  extra: readonly string[] | null = null;
  /** What this attempt may take from `begunAt` on, ms; told to gRPC upstreams. */
  readonly timeoutMs: number;
  readonly begunAt: number;
  /** What it says of its number to the next hop; 1 for one that repeats nothing. */
  readonly told: number;
  stream: HttpStream | null = null;
  done = false;
  /** sendData said to stop. */
  blocked = false;
  /** The response's end has been heard. (The stream is `closed` only after it has told of it.) */
  responseEnded = false;
  responseHead: Head | null = null;
  headFin = false;
  held: Uint8Array[] | null = null;
  heldFin = false;
  heldTrailers: Head | null = null;
  /** Attempts of the same call that are not done yet (hedges), newest first. */
  next: Attempt | null = null;

  constructor(
    owner: CarriedRequest,
    number: number,
    endpoint: Endpoint,
    head: Head,
    timeoutMs: number,
    begunAt: number,
    repeats: boolean,
  ) {
    this.told = repeats ? number : 1;
    this.owner = owner;
    this.number = number;
    this.endpoint = endpoint;
    this.head = head;
    this.timeoutMs = timeoutMs;
    this.begunAt = begunAt;
  }

  onConnection(connection: ClientConnection): void {
    if (!this.done) this.owner.onConnection(this, connection);
  }

  onConnectFailed(failure: StreamFailure): void {
    if (!this.done) this.owner.onAttemptFailed(this, attemptFailure(failure, true));
  }

  onHead(_stream: HttpStream, head: Head, fin: boolean): void {
    if (this.done) return;
    this.responseEnded = fin;
    this.owner.onResponseHead(this, head, fin);
  }

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.done) return;
    this.responseEnded = fin;
    this.owner.onResponseData(this, chunk, start, end, fin);
  }

  onTrailers(_stream: HttpStream, head: Head): void {
    if (this.done) return;
    this.responseEnded = true;
    this.owner.onResponseTrailers(this, head);
  }

  onReset(_stream: HttpStream, failure: StreamFailure): void {
    if (!this.done) this.owner.onAttemptFailed(this, attemptFailure(failure, false));
  }

  onWritable(_stream: HttpStream): void {
    if (this.done) return;
    this.blocked = false;
    this.owner.onAttemptWritable(this);
  }

  /** Keeps a copy of response bytes until policy decides. The upstream's window bounds them: nothing is credited meanwhile. */
  hold(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) (this.held ??= []).push(copyBytes(chunk, start, end));
    this.heldFin = fin;
  }

  /** Gives up what it holds outside: its stream is reset unless it is over, or its place in the pool's queue left. Idempotent. */
  abandon(): void {
    if (this.done) return;
    this.done = true;
    if (this.stream === null) this.owner.carrier.pool.cancel(this.endpoint, this);
    else if (!this.stream.closed && !(this.responseEnded && this.owner.requestEnded)) this.stream.reset(CANCEL);
    this.held = null;
  }
}

/** RFC 9113 section 7. */
const CANCEL = 8;

function attemptFailure(failure: StreamFailure, connecting: boolean): AttemptFailure {
  return { kind: kindOf(failure, connecting), unprocessed: failure.unprocessed, message: failure.message };
}

function kindOf(failure: StreamFailure, connecting: boolean): AttemptFailure["kind"] {
  switch (failure.kind) {
    case "connect":
    case "protocol":
      return failure.kind;
    case "refused":
      return connecting ? "overflow" : "refused";
    default:
      return failure.unprocessed ? "refused" : "reset";
  }
}
