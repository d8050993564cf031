import type { ConnectionHost, ConnectionMachine, MachineOptions } from "../connection.ts";
import type { ConnectionLimits } from "../limits.ts";
import type { PeerInfo, StreamFailure } from "../stream.ts";
import { AbuseMeter } from "./abuse.ts";
import { Countdown } from "./countdown.ts";
import { ErrorCode, errorCodeName } from "./errors.ts";
import { INITIAL_WINDOW_BYTES, MAX_UINT31 } from "./frame.ts";
import { FrameWriter } from "./frame-writer.ts";
import { fieldsBound, writeFields } from "./hpack/encoder.ts";
import type { Http2Stream } from "./http2-stream.ts";
import { ResetIds } from "./reset-ids.ts";
import { SendScheduler } from "./send-scheduler.ts";
import { StreamTable } from "./stream-table.ts";

/**
 * An HTTP/2 connection without its reading half: its streams, what they send, and how streams and connection end.
 *
 *     open --drain()--> draining --last stream closed: finish()--> closing --> gone
 *        \______________________/                                    ^           ^
 *            connectionError(), close(): GOAWAY --------------------/            |
 *            transportClosed() -------------------------------------------------/
 *
 * 1. Every stream's owner hears exactly one end: fin both ways, its own reset(), or onReset.
 * 2. After the first GOAWAY of ours that carries an error, nothing is read any more.
 * 3. What a peer can make us hold to send has a limit: streams, queues, output (see `wantsRead`), abuse (AbuseMeter).
 */
export abstract class ConnectionCore implements ConnectionMachine {
  readonly version = "2";
  readonly peer: PeerInfo;
  protected readonly host: ConnectionHost;
  protected readonly limits: Readonly<ConnectionLimits>;
  protected readonly writer = new FrameWriter();
  protected readonly streams = new StreamTable();
  protected readonly scheduler: SendScheduler;
  protected readonly abuse: AbuseMeter;
  protected readonly resets = new ResetIds();
  /** Nothing is read any more; what is pending is written, then the socket closes. */
  closing = false;
  /** transportClosed() was called. */
  protected gone = false;
  /** The highest stream that the peer opened. */
  protected lastPeerStream = 0;
  /** Of the last tick; -1 before the first. */
  protected now = -1;
  /** The receive window of a stream that our SETTINGS name. */
  protected readonly announcedWindow: number;
  /** The window that a stream of ours starts with, as the peer counts: the RFC's until our settings are acknowledged, if that is more. */
  protected streamWindow: number;
  /** Runs while no stream is open. */
  protected readonly idle = new Countdown();

  protected constructor(options: MachineOptions) {
    const limits = options.limits;
    this.host = options.host;
    this.peer = options.peer;
    this.limits = limits;
    this.abuse = new AbuseMeter(limits.maxAbusePer30s);
    this.scheduler = new SendScheduler(this.writer, limits.sendHighWaterBytes, this.abuse, (stream) =>
      this.messageWritten(stream),
    );
    this.announcedWindow = Math.min(MAX_UINT31, limits.streamWindowBytes);
    this.streamWindow = Math.max(this.announcedWindow, INITIAL_WINDOW_BYTES);
    this.idle.start();
  }

  abstract receive(chunk: Uint8Array, start: number, end: number): void;
  abstract tick(now: number): void;
  abstract drain(): void;

  /** The peer sent FIN. */
  protected abstract onPeerEnd(): void;
  /** A stream left the table. */
  protected abstract onStreamClosed(stream: Http2Stream): void;
  /** Our side of the stream is complete and the peer's is not. */
  protected abstract onHalfClosed(stream: Http2Stream): void;
  /** Before the output is taken. */
  protected abstract turnEnds(): void;
  protected abstract failureOf(
    stream: Http2Stream,
    kind: StreamFailure["kind"],
    code: number,
    text: string,
  ): StreamFailure;

  get openStreams(): number {
    return this.streams.size;
  }

  get pendingBytes(): number {
    return this.writer.output.length;
  }

  get wantsClose(): boolean {
    return this.closing;
  }

  /** A peer that makes us answer and does not read the answers is not read from either. */
  get wantsRead(): boolean {
    return this.writer.output.length < READ_STOP_BYTES;
  }

  takeOutput(): Uint8Array {
    this.turnEnds();
    return this.writer.output.take();
  }

  written(): void {
    this.writer.output.written();
    if (this.gone) return;
    this.scheduler.pump();
    this.wakeIfPending();
  }

  receiveEnd(): void {
    if (this.closing || this.gone) return;
    this.onPeerEnd();
    this.wakeIfPending();
  }

  transportClosed(message: string): void {
    if (this.gone) return;
    this.gone = true;
    this.closing = true;
    this.failAll(
      "connection-lost",
      0,
      `connection to ${this.peer.address} lost${message === "" ? "" : `: ${message}`}`,
    );
    this.writer.output.clear();
  }

  close(): void {
    if (this.closing || this.gone) return;
    this.#goaway(ErrorCode.noError, "");
    this.failAll("connection-lost", 0, "the connection was closed by this side");
    this.host.wake();
  }

  // === for streams ===

  writeHeaders(stream: Http2Stream, block: Uint8Array, extra: readonly string[] | null, fin: boolean): void {
    this.writer.headers(stream.id, block, extra, fin);
    if (fin) {
      stream.ended = true;
      this.messageWritten(stream);
    }
    this.host.wake();
  }

  writeData(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    if (fin) stream.ended = true;
    const below = this.scheduler.send(stream, bytes, start, end, fin);
    this.wakeIfPending();
    return below;
  }

  writeTrailers(stream: Http2Stream, block: Uint8Array, extra: readonly string[] | null): void {
    if (stream.bufferedBytes > 0) {
      stream.trailers = extra === null ? block : appendFields(block, extra);
      stream.ended = true;
      return;
    }
    this.writer.headers(stream.id, block, extra, true);
    stream.ended = true;
    this.messageWritten(stream);
    this.host.wake();
  }

  /** The owner gives up a stream. */
  resetStream(stream: Http2Stream, code: number): void {
    if (!this.closing) this.writer.rstStream(stream.id, code);
    if (!stream.remoteDone) this.resets.add(stream.id);
    this.closeStream(stream);
    this.host.wake();
  }

  creditStream(stream: Http2Stream, bytes: number): void {
    const used = this.streamWindow - stream.receiveWindow - stream.creditPending;
    stream.creditPending += Math.max(0, Math.min(bytes, used));
    if (stream.creditPending * 2 < this.streamWindow) return;
    this.writer.windowUpdate(stream.id, stream.creditPending);
    stream.receiveWindow += stream.creditPending;
    stream.creditPending = 0;
    this.host.wake();
  }

  // === ends ===

  protected remoteEnded(stream: Http2Stream): void {
    if (stream.closed || !stream.finWritten) return;
    this.abuse.explain(1);
    this.closeStream(stream);
  }

  protected messageWritten(stream: Http2Stream): void {
    stream.finWritten = true;
    if (stream.closed) return;
    if (!stream.remoteDone) return this.onHalfClosed(stream);
    this.abuse.explain(1);
    this.closeStream(stream);
  }

  /** Takes a stream out; tells nobody but the side. */
  protected closeStream(stream: Http2Stream): void {
    if (stream.closed) return;
    stream.closed = true;
    this.scheduler.remove(stream);
    stream.queue?.clear();
    stream.queue = null;
    stream.trailers = null;
    this.streams.delete(stream);
    if (this.streams.size === 0) this.idle.start();
    this.onStreamClosed(stream);
  }

  /** The peer broke a rule on one stream. */
  protected streamError(stream: Http2Stream, code: number, message: string): void {
    this.writer.rstStream(stream.id, code);
    if (!stream.remoteDone) this.resets.add(stream.id);
    this.closeStream(stream);
    stream.sink.onReset(stream, this.failureOf(stream, "protocol", code, `${errorCodeName(code)}: ${message}`));
    this.abused(1);
  }

  /** The peer broke a rule of the connection. */
  protected connectionError(code: number, message: string): void {
    if (this.closing || this.gone) return;
    this.#goaway(code, message);
    this.failAll("protocol", code, `connection error ${errorCodeName(code)}: ${message}`);
  }

  /** The peer did something that costs us and is of no use to it. True: too often, the connection is closing. */
  protected abused(weight: number): boolean {
    if (!this.abuse.add(weight)) return false;
    this.connectionError(ErrorCode.enhanceYourCalm, "too many frames that do no work");
    return true;
  }

  /** All is done: the socket may close when the output is written. */
  protected finish(): void {
    if (this.closing) return;
    this.closing = true;
    this.host.wake();
  }

  protected failAll(kind: StreamFailure["kind"], code: number, message: string): void {
    for (const stream of this.streams.list()) {
      if (stream.closed) continue;
      this.closeStream(stream);
      stream.sink.onReset(stream, this.failureOf(stream, kind, code, message));
    }
  }

  protected wakeIfPending(): void {
    if (this.writer.output.length > 0 || this.closing) this.host.wake();
  }

  #goaway(code: number, debug: string): void {
    this.writer.goaway(this.lastPeerStream, code, debug);
    this.closing = true;
    this.host.wake();
  }
}

function appendFields(block: Uint8Array, extra: readonly string[]): Uint8Array {
  const out = Buffer.allocUnsafe(block.length + fieldsBound(extra));
  out.set(block, 0);
  return out.subarray(0, writeFields(out, block.length, extra));
}

const READ_STOP_BYTES = 524_288;
