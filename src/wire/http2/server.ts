import type { ConnectionMachine, ServerMachineOptions } from "../connection.ts";
import { responseHead } from "../head.ts";
import type { RequestHandler, StreamFailure } from "../stream.ts";
import { Http2Connection } from "./connection.ts";
import { Countdown } from "./countdown.ts";
import { ErrorCode } from "./errors.ts";
import { CLIENT_PREFACE, MAX_UINT31 } from "./frame.ts";
import type { HeaderSource } from "./header-block.ts";
import { encodeHead } from "./hpack/encoder.ts";
import { Http2Stream, NO_SINK } from "./http2-stream.ts";
import { Keepalive } from "./keepalive.ts";
import { type Block, REQUEST, TRAILERS } from "./message.ts";
import { SettingId } from "./settings.ts";

/**
 * The server's side of an HTTP/2 connection (prior knowledge or ALPN; no upgrade from HTTP/1.1). The client's preface is expected as
 * its first bytes. There is output (SETTINGS) from the start.
 */
export function createHttp2Server(options: ServerMachineOptions): ConnectionMachine {
  return new Http2ServerConnection(options);
}

/**
 * Drain, so that no request that is on its way gets lost. Source: RFC 9113 section 6.8.
 *
 *     serving --drain(): GOAWAY(2^31-1), PING--> warned --PING's ACK, or a second--> GOAWAY(last id) -> refusing --no stream--> closing
 *
 * 1. A request that arrives while warned is served.
 * 2. A request above the last id is answered with REFUSED_STREAM: its client knows that it had no effect.
 */
class Http2ServerConnection extends Http2Connection {
  protected readonly isServer = true;
  readonly #handler: RequestHandler;
  /** Bytes of the preface still to come. */
  #prefaceLeft = CLIENT_PREFACE.length;
  #state: typeof SERVING | typeof WARNED | typeof REFUSING = SERVING;
  readonly #warned = new Countdown();
  #goawayId = MAX_UINT31;
  #peerLeaves = false;
  readonly #keepalive: Keepalive;
  /** Answered in full before the request was complete. */
  #early: Http2Stream[] = [];

  constructor(options: ServerMachineOptions) {
    super(options);
    this.#handler = options.handler;
    const half = options.limits.silenceTimeoutMs / 2;
    this.#keepalive = new Keepalive(half, half);
    this.open([
      [SettingId.maxConcurrentStreams, options.limits.maxConcurrentStreams],
      [SettingId.enableConnectProtocol, 1],
    ]);
  }

  override receive(chunk: Uint8Array, start: number, end: number): void {
    if (this.#prefaceLeft > 0 && !this.closing) {
      let at = CLIENT_PREFACE.length - this.#prefaceLeft;
      while (start < end && at < CLIENT_PREFACE.length && chunk[start] === CLIENT_PREFACE[at]) {
        start++;
        at++;
      }
      this.#prefaceLeft = CLIENT_PREFACE.length - at;
      if (this.#prefaceLeft > 0) {
        if (start < end) this.connectionError(ErrorCode.protocolError, "the client preface is not that of HTTP/2");
        return;
      }
    }
    super.receive(chunk, start, end);
  }

  drain(): void {
    if (this.#state !== SERVING || this.closing) return;
    this.#state = WARNED;
    this.#warned.start();
    this.writer.goaway(MAX_UINT31, ErrorCode.noError, "draining");
    this.writer.ping(DRAIN_PING, 0, false);
    this.host.wake();
  }

  protected onHeaders(id: number, fin: boolean, selfDependent: boolean, source: HeaderSource): void {
    const stream = this.streams.get(id);
    if (stream !== null) return this.#onRequestTrailers(stream, fin, source);
    if ((id & 1) === 0) return this.connectionError(ErrorCode.protocolError, `stream ${id} is not a client's`);
    if (id <= this.lastPeerStream) {
      if (this.resets.has(id)) {
        this.readBlock(TRAILERS, source);
        return;
      }
      const code = id === this.lastPeerStream ? ErrorCode.streamClosed : ErrorCode.protocolError;
      return this.connectionError(code, `HEADERS on stream ${id}, which was closed or passed over`);
    }
    const block = this.readBlock(REQUEST, source);
    if (block === null) return;
    this.lastPeerStream = id;
    if (id > this.#goawayId) return this.#refuse(id, ErrorCode.refusedStream);
    if (this.streams.size >= this.limits.maxConcurrentStreams) {
      this.#refuse(id, ErrorCode.refusedStream);
      this.abused(1);
      return;
    }
    if (selfDependent) {
      this.#refuse(id, ErrorCode.protocolError);
      this.abused(1);
      return;
    }
    this.#request(id, fin, block);
  }

  #request(id: number, fin: boolean, block: Block): void {
    const head = block.head;
    if (block.tooLarge) {
      this.writer.headers(id, encodeHead(TOO_LARGE_HEAD), null, true);
      if (!fin) this.#refuse(id, ErrorCode.noError);
      this.abused(1);
      return;
    }
    if (head === null || (fin && block.contentLength > 0)) {
      this.#refuse(id, ErrorCode.protocolError);
      this.abused(1);
      return;
    }
    const stream = new Http2Stream(
      this,
      id,
      head,
      false,
      this.peerSettings.initialWindowSize,
      this.streamWindow,
      this.now,
    );
    stream.expected = block.contentLength;
    stream.remoteDone = fin;
    if (this.streams.size === 0) this.idle.stop();
    this.streams.add(stream);
    this.#handler.onRequest(stream, head, fin);
    if (stream.sink === NO_SINK && !stream.ended && !stream.closed) stream.reset(ErrorCode.internalError);
  }

  #onRequestTrailers(stream: Http2Stream, fin: boolean, source: HeaderSource): void {
    const block = this.readBlock(TRAILERS, source);
    if (block === null) return;
    if (stream.remoteDone) return this.streamError(stream, ErrorCode.streamClosed, "HEADERS after END_STREAM");
    this.onTrailers(stream, fin, block);
  }

  #refuse(id: number, code: number): void {
    this.writer.rstStream(id, code);
    this.resets.add(id);
  }

  protected isIdle(id: number): boolean {
    return (id & 1) === 0 || id > this.lastPeerStream;
  }

  protected onHalfClosed(stream: Http2Stream): void {
    if (!stream.tunnel) this.#early.push(stream);
  }

  /** A request that is still not complete at the end of the turn is cut off: the answer does not depend on it. */
  protected turnEnds(): void {
    if (this.#early.length === 0) return;
    const early = this.#early;
    this.#early = [];
    for (const stream of early) {
      if (stream.closed) continue;
      this.resetStream(stream, ErrorCode.noError);
      this.abuse.explain(1);
      const text = "the response was complete before the request";
      stream.sink.onReset(stream, this.failureOf(stream, "reset", ErrorCode.noError, text));
    }
  }

  protected onStreamClosed(): void {
    if (this.streams.size > 0) return;
    if (this.#state === REFUSING || this.#peerLeaves) this.finish();
  }

  protected onSettings(): void {}

  protected onPingAck(payload: Buffer, start: number): void {
    if (this.#keepalive.answered(payload, start)) return;
    for (let i = 0; i < 8; i++) {
      if (payload[start + i] !== DRAIN_PING[i]) {
        this.abused(1);
        return;
      }
    }
    if (this.#state === WARNED) this.#refuseFromNowOn();
  }

  protected onTick(now: number): void {
    if (this.#state === WARNED && this.#warned.over(now, WARNING_MS)) this.#refuseFromNowOn();
    this.keepAlive(this.#keepalive.tick(now, this.heard, this.streams.size > 0));
  }

  #refuseFromNowOn(): void {
    this.#state = REFUSING;
    this.#goawayId = this.lastPeerStream;
    this.writer.goaway(this.lastPeerStream, ErrorCode.noError, "draining");
    if (this.streams.size === 0) this.finish();
  }

  /** The client opens no more streams that we would have to wait for; what is open is answered. */
  protected onGoaway(): void {
    this.#peerLeaves = true;
    if (this.streams.size === 0) this.finish();
  }

  /** Requests that are complete are still answered; the others never will be. */
  protected onPeerEnd(): void {
    this.#peerLeaves = true;
    for (const stream of this.streams.list()) {
      if (stream.closed || stream.remoteDone) continue;
      this.closeStream(stream);
      const text = `${this.peer.address} ended the connection before its request was complete`;
      stream.sink.onReset(stream, this.failureOf(stream, "connection-lost", 0, text));
    }
    if (this.streams.size === 0) this.finish();
  }

  protected failureOf(_stream: Http2Stream, kind: StreamFailure["kind"], code: number, message: string): StreamFailure {
    return { kind, code, unprocessed: false, message };
  }
}

const SERVING = 0;
const WARNED = 1;
const REFUSING = 2;
const WARNING_MS = 1_000;
const DRAIN_PING = Buffer.from("weftgone", "latin1");
const TOO_LARGE_HEAD = responseHead(431, ["content-length", "0"]);
