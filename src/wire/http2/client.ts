import { WeftError } from "../../core/errors.ts";
import type { ClientMachine, ClientMachineOptions } from "../connection.ts";
import type { Head } from "../head.ts";
import type { HttpStream, StreamFailure, StreamSink } from "../stream.ts";
import { Http2Connection } from "./connection.ts";
import { ErrorCode, errorCodeName } from "./errors.ts";
import { CLIENT_PREFACE, MAX_UINT31 } from "./frame.ts";
import type { HeaderSource } from "./header-block.ts";
import { encodeHead } from "./hpack/encoder.ts";
import { Http2Stream } from "./http2-stream.ts";
import { Keepalive } from "./keepalive.ts";
import { RESPONSE, TRAILERS } from "./message.ts";
import { SettingId } from "./settings.ts";

export interface Http2ClientOptions extends ClientMachineOptions {
  /** PINGs while nothing is heard, to notice a dead peer. Off by default; many servers allow one in five minutes at most. */
  readonly keepalive?: {
    /** Silence after which a PING is sent, ms. */
    readonly intervalMs: number;
    /** Time for its answer, ms; then the connection fails. */
    readonly timeoutMs: number;
    /** Also when no stream is open. Default false. */
    readonly withoutStreams?: boolean;
  };
}

export interface Http2Client extends ClientMachine {
  /** The server takes extended CONNECT (RFC 8441). Known once its SETTINGS came. */
  readonly extendedConnect: boolean;
}

/** The client's side of an HTTP/2 connection. There is output (preface and SETTINGS) from the start, and requests need not wait. */
export function createHttp2Client(options: Http2ClientOptions): Http2Client {
  return new Http2ClientConnection(options);
}

/**
 *     open --GOAWAY, drain(), ids used up--> draining (available is 0) --no stream--> closing
 *
 * 1. What the server certainly did not act on fails as `unprocessed`: streams above GOAWAY's last id, REFUSED_STREAM, and those whose
 *    HEADERS never left our output.
 * 2. `available` never lets more streams be open than the server allows.
 */
class Http2ClientConnection extends Http2Connection implements Http2Client {
  protected readonly isServer = false;
  maxStreams = Number.POSITIVE_INFINITY;
  readonly #onAvailable: () => void;
  readonly #keepalive: Keepalive | null;
  readonly #keepaliveOptions: Http2ClientOptions["keepalive"];
  #nextId = 1;
  #draining = false;
  #goawayId = MAX_UINT31;
  /** `available` was 0 when last asked or changed. */
  #full = false;

  constructor(options: Http2ClientOptions) {
    super(options);
    this.#onAvailable = options.onAvailable;
    const { keepalive } = options;
    this.#keepaliveOptions = keepalive;
    this.#keepalive = keepalive === undefined ? null : new Keepalive(keepalive.intervalMs, keepalive.timeoutMs);
    this.writer.raw(CLIENT_PREFACE);
    this.open([[SettingId.enablePush, 0]]);
  }

  get available(): number {
    if (this.closing || this.gone || this.#draining) return 0;
    const limit = this.peerSettingsSeen ? this.peerSettings.maxConcurrentStreams : STREAMS_BEFORE_SETTINGS;
    const free = Math.min(limit, this.limits.maxConcurrentStreams, this.maxStreams) - this.streams.size;
    return Math.max(free, 0);
  }

  get extendedConnect(): boolean {
    return this.peerSettings.enableConnectProtocol;
  }

  request(head: Head, extra: readonly string[] | null, fin: boolean, sink: StreamSink): HttpStream {
    if (this.available === 0) {
      throw new WeftError("unavailable", `the connection to ${this.peer.address} takes no more requests now`, {
        reason: "NO_STREAM_AVAILABLE",
        retryable: true,
      });
    }
    // Before SETTINGS it is tried: to wait would cost each new connection a round trip, and who does not know it resets the stream.
    if (head.protocol !== "" && this.peerSettingsSeen && !this.extendedConnect) {
      throw new WeftError(
        "failed_precondition",
        `${this.peer.address} does not take extended CONNECT (RFC 8441), which "${head.protocol}" over HTTP/2 needs; reach it over HTTP/1.1`,
        { reason: "EXTENDED_CONNECT_UNSUPPORTED" },
      );
    }
    const id = this.#nextId;
    const block = encodeHead(head);
    this.writer.headers(id, block, extra, fin);
    this.#nextId += 2;
    const window = this.peerSettings.initialWindowSize;
    const stream = new Http2Stream(this, id, head, true, window, this.streamWindow, this.now);
    stream.sink = sink;
    stream.ended = stream.finWritten = fin;
    stream.writtenAt = this.writer.output.taken + this.writer.output.length;
    if (this.streams.size === 0) this.idle.stop();
    this.streams.add(stream);
    if (this.#nextId > MAX_UINT31) this.#draining = true;
    if (this.available === 0) this.#full = true;
    this.host.wake();
    return stream;
  }

  drain(): void {
    if (this.closing || this.#draining) return;
    this.#draining = true;
    if (this.streams.size === 0) this.#leave();
  }

  protected onHeaders(id: number, fin: boolean, _selfDependent: boolean, source: HeaderSource): void {
    const stream = this.streams.get(id);
    if (stream === null) {
      if (this.isIdle(id)) return this.connectionError(ErrorCode.protocolError, `HEADERS on idle stream ${id}`);
      if (this.resets.has(id)) this.readBlock(TRAILERS, source);
      else this.connectionError(ErrorCode.streamClosed, `HEADERS on closed stream ${id}`);
      return;
    }
    const block = this.readBlock(stream.headReceived ? TRAILERS : RESPONSE, source);
    if (block === null) return;
    if (stream.remoteDone) return this.streamError(stream, ErrorCode.streamClosed, "HEADERS after END_STREAM");
    if (stream.headReceived) return this.onTrailers(stream, fin, block);
    const head = block.head;
    if (head === null) {
      const code = block.tooLarge ? ErrorCode.enhanceYourCalm : ErrorCode.protocolError;
      return this.streamError(stream, code, block.fault);
    }
    if (head.status < 200) {
      if (fin) return this.streamError(stream, ErrorCode.protocolError, "an interim response with END_STREAM");
      if (this.abused(1)) return;
      stream.sink.onHead(stream, head, false);
      return;
    }
    const bodyless = stream.headRequest || head.status === 204 || head.status === 304;
    if (!bodyless) {
      if (fin && block.contentLength > 0) {
        return this.streamError(stream, ErrorCode.protocolError, "the body is shorter than content-length says");
      }
      stream.expected = block.contentLength;
    } else {
      stream.expected = 0;
    }
    stream.headReceived = true;
    stream.remoteDone = fin;
    stream.sink.onHead(stream, head, fin);
    if (fin) this.remoteEnded(stream);
  }

  protected isIdle(id: number): boolean {
    return (id & 1) === 0 || id >= this.#nextId;
  }

  protected onHalfClosed(): void {}
  protected turnEnds(): void {}

  protected onStreamClosed(): void {
    if (this.#draining && this.streams.size === 0) this.#leave();
    this.#offer();
  }

  protected onSettings(): void {
    if (this.available === 0) this.#full = true;
    else this.#offer();
  }

  #offer(): void {
    if (!this.#full || this.available === 0) return;
    this.#full = false;
    this.#onAvailable();
  }

  protected onGoaway(lastId: number, code: number, debug: string): void {
    if (lastId > this.#goawayId) {
      return this.connectionError(ErrorCode.protocolError, "GOAWAY with a higher last stream than before");
    }
    this.#goawayId = lastId;
    this.#draining = true;
    const why = `${errorCodeName(code)}${debug === "" ? "" : ` (${debug})`}`;
    const text = `${this.peer.address} takes no more requests on this connection: ${why}`;
    for (const stream of this.streams.list()) {
      if (stream.id <= lastId || stream.closed) continue;
      this.closeStream(stream);
      stream.sink.onReset(stream, { kind: "refused", code, unprocessed: true, message: text });
    }
    if (this.streams.size === 0) this.#leave();
  }

  protected onPeerEnd(): void {
    this.#draining = true;
    this.failAll("connection-lost", 0, `${this.peer.address} closed the connection`);
    this.finish();
  }

  protected onPingAck(payload: Buffer, start: number): void {
    this.#keepalive?.answered(payload, start);
  }

  protected onTick(now: number): void {
    if (this.#keepalive === null) return;
    const wanted = this.streams.size > 0 || this.#keepaliveOptions?.withoutStreams === true;
    this.keepAlive(this.#keepalive.tick(now, this.heard, wanted));
  }

  #leave(): void {
    if (this.closing || this.gone) return;
    this.writer.goaway(0, ErrorCode.noError, "");
    this.finish();
  }

  protected failureOf(stream: Http2Stream, kind: StreamFailure["kind"], code: number, message: string): StreamFailure {
    const unprocessed = kind === "refused" || stream.writtenAt > this.writer.output.taken;
    return { kind, code, unprocessed, message };
  }
}

/** The RFC sets no limit before SETTINGS; few servers allow fewer. */
const STREAMS_BEFORE_SETTINGS = 100;
