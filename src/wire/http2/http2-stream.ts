import { WeftError } from "../../core/errors.ts";
import type { Head } from "../head.ts";
import type { HttpStream, StreamSink } from "../stream.ts";
import type { ConnectionCore } from "./connection-core.ts";
import { encodeHead, encodeHeadAs } from "./hpack/encoder.ts";
import { SendQueue } from "./send-queue.ts";

/**
 * One stream. What it may send lies here; frames, windows and order are the connection's.
 *
 *     our side    head --sendHead--> body --sendData(fin), sendTrailers--> ended --all of it written--> finWritten
 *     their side  open --END_STREAM--> remoteDone
 *     closed      finWritten and remoteDone; or reset by either side; or the connection is gone
 *
 * Fields without a docstring in HttpStream belong to the connection.
 */
export class Http2Stream implements HttpStream {
  readonly id: number;
  readonly connection: ConnectionCore;
  sink: StreamSink = NO_SINK;
  owner: unknown = null;
  closed = false;

  /** The final head was sent (a client's is sent with request()). */
  headSent: boolean;
  /** The owner has sent everything. */
  ended = false;
  finWritten = false;
  remoteDone = false;
  /** Client: the response's final head came. */
  headReceived = false;
  /** The response to this request has no body, whatever its head says (HEAD). */
  readonly headRequest: boolean;
  /** CONNECT: both directions are the tunnel's, neither ends the other. */
  readonly tunnel: boolean;
  /** Body bytes that content-length still promises, -1 when it said nothing. */
  expected = -1;

  /** What the peer's window lets us send; may be negative. */
  sendWindow: number;
  /** What our window lets the peer send. */
  receiveWindow: number;
  /** Consumed by the owner and not yet given back to the peer. */
  creditPending = 0;

  queue: SendQueue | null = null;
  /** Waits behind the queue. */
  trailers: Uint8Array | null = null;
  /** sendData answered false. */
  blocked = false;
  /** The scheduler's ring. */
  next: Http2Stream | null = null;
  previous: Http2Stream | null = null;

  /** The connection's `now` when it was opened. */
  readonly openedAt: number;
  /** Client: where in the output its HEADERS end, to tell whether they ever left. */
  writtenAt = 0;

  constructor(
    connection: ConnectionCore,
    id: number,
    request: Head,
    isClient: boolean,
    sendWindow: number,
    receiveWindow: number,
    now: number,
  ) {
    this.connection = connection;
    this.id = id;
    this.headSent = isClient;
    this.headRequest = request.method === "HEAD";
    this.tunnel = request.method === "CONNECT" || (isClient && request.protocol !== "");
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.openedAt = now;
  }

  get bufferedBytes(): number {
    return this.queue === null ? 0 : this.queue.bytes;
  }

  sendHead(head: Head, extra: readonly string[] | null, fin: boolean): void {
    if (this.closed || this.ended || this.headSent) return;
    const status = head.status;
    if (status < 200 && status !== 101) {
      this.connection.writeHeaders(this, encodeHead(head), extra, false);
      return;
    }
    const bodyless = this.headRequest || status === 204 || status === 304;
    this.connection.writeHeaders(
      this,
      status === 101 ? encodeHeadAs(head, 200) : encodeHead(head),
      extra,
      fin || bodyless,
    );
    this.headSent = true;
  }

  sendData(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    if (this.closed || this.ended) return true;
    if (!this.headSent) throw headMissing("sendData");
    return this.connection.writeData(this, bytes, start, end, fin);
  }

  sendTrailers(head: Head, extra: readonly string[] | null): void {
    if (this.closed || this.ended) return;
    if (!this.headSent) throw headMissing("sendTrailers");
    this.connection.writeTrailers(this, encodeHead(head), extra);
  }

  reset(code: number): void {
    if (!this.closed) this.connection.resetStream(this, code);
  }

  credit(bytes: number): void {
    if (!this.closed && !this.remoteDone) this.connection.creditStream(this, bytes);
  }

  /** Body bytes to be queued from now on. */
  queueOf(): SendQueue {
    return (this.queue ??= new SendQueue());
  }
}

/** Stands in until the owner sets its own, and after the end. */
export const NO_SINK: StreamSink = {
  onHead() {},
  onData(stream, _chunk, start, end) {
    stream.credit(end - start);
  },
  onTrailers() {},
  onReset() {},
  onWritable() {},
};

function headMissing(what: string): WeftError {
  return new WeftError("internal", `${what} before sendHead: a response begins with its head`, {
    reason: "HEAD_NOT_SENT",
  });
}
