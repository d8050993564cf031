import type { MachineOptions } from "../connection.ts";
import { BlockReader } from "./block-reader.ts";
import { ConnectionCore } from "./connection-core.ts";
import { Countdown } from "./countdown.ts";
import { ErrorCode, errorCodeName } from "./errors.ts";
import {
  Flag,
  FrameType,
  INITIAL_WINDOW_BYTES,
  MAX_UINT31,
  MIN_MAX_FRAME_BYTES,
  readUint31,
  readUint32,
} from "./frame.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { HeaderBlock, type HeaderSource } from "./header-block.ts";
import type { Http2Stream } from "./http2-stream.ts";
import { KEEPALIVE_PING, type Keepalive } from "./keepalive.ts";
import type { Block, MessageKind } from "./message.ts";
import { applySettings, defaultPeerSettings, SettingId } from "./settings.ts";

/**
 * The reading half, the same on both sides: frames in, judged by RFC 9113, turned into what streams and their owners hear.
 *
 *     opening --peer's SETTINGS--> open        any error of the peer's: one stream's (RST_STREAM) or the connection's (GOAWAY)
 *     open --HEADERS without END_HEADERS--> in a header block --CONTINUATION... END_HEADERS--> open
 *
 * 1. The connection's receive window is given back when bytes arrive, the stream's when its owner credits them: a stream that
 *    nobody reads stops itself and no other.
 * 2. A frame for a stream that we reset is ignored, apart from its share in compression state and connection window.
 * 3. What the peer can make us hold to read has a limit: heads, header blocks, frames, windows.
 */
export abstract class Http2Connection extends ConnectionCore implements FrameSink {
  protected readonly peerSettings = defaultPeerSettings();
  protected peerSettingsSeen = false;
  readonly #reader: FrameReader;
  readonly #blocks: BlockReader;
  readonly #header: HeaderBlock;
  readonly #opening = new Countdown();
  readonly #settings = new Countdown();
  readonly #heading = new Countdown();
  readonly #maxFrameBytes: number;
  readonly #connectionWindow: number;
  #receiveWindow: number;
  #unreported = 0;
  /** Something was received since the last tick. */
  protected heard = false;

  protected constructor(options: MachineOptions) {
    super(options);
    const limits = options.limits;
    this.#maxFrameBytes = Math.min(0xff_ffff, Math.max(MIN_MAX_FRAME_BYTES, limits.maxFrameBytes));
    this.#reader = new FrameReader(this, this.#maxFrameBytes);
    this.#blocks = new BlockReader(TABLE_BYTES, limits.maxHeadBytes, limits.maxFields);
    this.#header = new HeaderBlock(limits.maxHeadBytes * 2 + 16_384);
    this.#connectionWindow = Math.min(MAX_UINT31, Math.max(MIN_CONNECTION_WINDOW_BYTES, this.announcedWindow * 4));
    this.#receiveWindow = this.#connectionWindow;
    this.#opening.start();
    this.#settings.start();
  }

  protected abstract readonly isServer: boolean;
  /** A header block for `id` is complete. */
  protected abstract onHeaders(id: number, fin: boolean, selfDependent: boolean, block: HeaderSource): void;
  /** A stream that is not open was named: error, or late and to be ignored. */
  protected abstract isIdle(id: number): boolean;
  protected abstract onGoaway(lastId: number, code: number, debug: string): void;
  /** The peer's settings changed. */
  protected abstract onSettings(): void;
  protected abstract onPingAck(payload: Buffer, start: number): void;
  protected abstract onTick(now: number): void;

  receive(chunk: Uint8Array, start: number, end: number): void {
    if (this.closing || this.gone) return;
    const buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.heard = true;
    this.#reader.read(buffer, start, end);
    this.wakeIfPending();
  }

  override transportClosed(message: string): void {
    super.transportClosed(message);
    this.#blocks.release();
  }

  tick(now: number): void {
    this.now = now;
    if (this.closing || this.gone) return;
    const { headTimeoutMs } = this.limits;
    if (this.#opening.over(now, headTimeoutMs)) {
      // Who has not even begun to speak HTTP/2 gets no GOAWAY of use to it.
      this.connectionError(ErrorCode.settingsTimeout, "no SETTINGS in time");
    } else if (this.#settings.over(now, headTimeoutMs)) {
      this.connectionError(ErrorCode.settingsTimeout, "SETTINGS were not acknowledged in time");
    } else if (this.#heading.over(now, headTimeoutMs)) {
      this.connectionError(ErrorCode.enhanceYourCalm, "a header block was not completed in time");
    } else {
      this.abuse.tick(now);
      if (this.idle.over(now, this.limits.idleTimeoutHttp2Ms)) this.drain();
      this.onTick(now);
      if (!this.heard && this.streams.size === 0) {
        this.streams.shrink();
        this.#blocks.release();
      }
      this.heard = false;
    }
    this.wakeIfPending();
  }

  /** What a Keepalive says. */
  protected keepAlive(says: ReturnType<Keepalive["tick"]>): void {
    if (says === "ping") this.writer.ping(KEEPALIVE_PING, 0, false);
    if (says !== "give up") return;
    this.failAll("connection-lost", 0, `${this.peer.address} gives no sign of life: a PING was not answered in time`);
    this.finish();
  }

  /** Our SETTINGS, and the window that the connection gets at once. */
  protected open(extra: readonly (readonly [id: number, value: number])[]): void {
    const settings: (readonly [number, number])[] = [
      [SettingId.initialWindowSize, this.announcedWindow],
      [SettingId.maxHeaderListSize, this.limits.maxHeadBytes],
      ...extra,
    ];
    if (this.#maxFrameBytes > MIN_MAX_FRAME_BYTES) settings.push([SettingId.maxFrameSize, this.#maxFrameBytes]);
    this.writer.settings(settings);
    this.writer.windowUpdate(0, this.#connectionWindow - INITIAL_WINDOW_BYTES);
  }

  /** Reads the block that onHeaders was given. Null: it was a connection error, which has been dealt with. */
  protected readBlock(kind: MessageKind, source: HeaderSource): Block | null {
    const block = this.#blocks.read(kind, source.bytes, source.start, source.end);
    if (block === null) this.connectionError(ErrorCode.compressionError, "a header block cannot be decoded");
    return block;
  }

  /** Trailers, judged and handed on. */
  protected onTrailers(stream: Http2Stream, fin: boolean, block: Block): void {
    if (!fin) return this.streamError(stream, ErrorCode.protocolError, "trailers without END_STREAM");
    if (block.head === null) {
      const code = block.tooLarge ? ErrorCode.enhanceYourCalm : ErrorCode.protocolError;
      return this.streamError(stream, code, block.fault);
    }
    if (stream.expected > 0) {
      return this.streamError(stream, ErrorCode.protocolError, "the body is shorter than content-length says");
    }
    stream.remoteDone = true;
    stream.sink.onTrailers(stream, block.head);
    this.remoteEnded(stream);
  }

  // === frames ===

  onFrameError(code: number, message: string): void {
    this.connectionError(code, message);
  }

  onFrame(type: number, flags: number, id: number, chunk: Buffer, start: number, end: number): void {
    if (this.#header.streamId !== 0 && (type !== FrameType.continuation || id !== this.#header.streamId)) {
      return this.connectionError(ErrorCode.protocolError, "a header block was interrupted by another frame");
    }
    if (!this.peerSettingsSeen && (type !== FrameType.settings || (flags & Flag.ack) !== 0)) {
      return this.connectionError(ErrorCode.protocolError, "the first frame is not SETTINGS");
    }
    switch (type) {
      case FrameType.data:
        return this.#onData(flags, id, chunk, start, end);
      case FrameType.headers:
        return this.#onHeadersFrame(flags, id, chunk, start, end);
      case FrameType.priority:
        return this.#onPriority(id, chunk, start, end);
      case FrameType.rstStream:
        return this.#onRstStream(id, chunk, start, end);
      case FrameType.settings:
        return this.#onSettingsFrame(flags, id, chunk, start, end);
      case FrameType.pushPromise:
        return this.connectionError(ErrorCode.protocolError, "PUSH_PROMISE is not allowed");
      case FrameType.ping:
        return this.#onPing(flags, id, chunk, start, end);
      case FrameType.goaway:
        return this.#onGoawayFrame(id, chunk, start, end);
      case FrameType.windowUpdate:
        return this.#onWindowUpdate(id, chunk, start, end);
      case FrameType.continuation:
        return this.#onContinuation(flags, id, chunk, start, end);
      default:
        this.abused(1); // unknown types are ignored, not free
    }
  }

  #onData(flags: number, id: number, chunk: Buffer, start: number, end: number): void {
    if (id === 0) return this.connectionError(ErrorCode.protocolError, "DATA on stream 0");
    const length = end - start;
    if (!this.#received(length)) return;
    if ((flags & Flag.padded) !== 0) {
      const padding = length === 0 ? 1 : chunk[start];
      start++;
      if (padding > end - start) return this.connectionError(ErrorCode.protocolError, "padding longer than the frame");
      end -= padding;
    }
    const stream = this.streams.get(id);
    if (stream === null) return this.#onLate(id, "DATA");
    if (stream.remoteDone) return this.streamError(stream, ErrorCode.streamClosed, "DATA after END_STREAM");
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      return this.streamError(stream, ErrorCode.flowControlError, "more DATA than the stream's window allows");
    }
    const bytes = end - start;
    const fin = (flags & Flag.endStream) !== 0;
    if (bytes === 0 && !fin && this.abused(1)) return;
    if (!this.isServer && !(stream.headReceived && (bytes === 0 || !stream.headRequest))) {
      return this.streamError(stream, ErrorCode.protocolError, "DATA where the response has no body");
    }
    if (stream.expected >= 0) {
      stream.expected -= bytes;
      if (stream.expected < 0 || (fin && stream.expected > 0)) {
        return this.streamError(stream, ErrorCode.protocolError, "the body is not as long as content-length says");
      }
    }
    if (fin) stream.remoteDone = true;
    else if (length > bytes) this.creditStream(stream, length - bytes);
    stream.sink.onData(stream, chunk, start, end, fin);
    if (fin) this.remoteEnded(stream);
  }

  #onHeadersFrame(flags: number, id: number, chunk: Buffer, start: number, end: number): void {
    if (id === 0) return this.connectionError(ErrorCode.protocolError, "HEADERS on stream 0");
    let selfDependent = false;
    if ((flags & (Flag.padded | Flag.priority)) !== 0) {
      let padding = 0;
      if ((flags & Flag.padded) !== 0) {
        padding = start < end ? chunk[start] : 0xffff;
        start++;
      }
      if ((flags & Flag.priority) !== 0) {
        selfDependent = end - start >= 5 && readUint31(chunk, start) === id;
        start += 5;
      }
      if (start > end) return this.connectionError(ErrorCode.frameSizeError, "HEADERS too short for what it announces");
      if (padding > end - start) return this.connectionError(ErrorCode.protocolError, "padding longer than the frame");
      end -= padding;
    }
    const fin = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) {
      const source = this.#header;
      source.whole(chunk, start, end);
      this.onHeaders(id, fin, selfDependent, source);
      return source.release(); // or an idle connection would keep the chunk that it read last
    }
    this.#header.begin(id, fin, selfDependent);
    this.#heading.start();
    this.#addToHeader(chunk, start, end);
  }

  #onContinuation(flags: number, id: number, chunk: Buffer, start: number, end: number): void {
    const header = this.#header;
    if (header.streamId === 0) {
      return this.connectionError(ErrorCode.protocolError, `CONTINUATION on stream ${id} without HEADERS`);
    }
    // Empty ones cost the peer nothing and would go on forever.
    if (end - start < 1_024 && (flags & Flag.endHeaders) === 0 && this.abused(1)) return;
    if (!this.#addToHeader(chunk, start, end) || (flags & Flag.endHeaders) === 0) return;
    this.#heading.stop();
    const { fin, selfDependent } = header;
    header.complete();
    this.onHeaders(id, fin, selfDependent, header);
    header.release();
  }

  #addToHeader(chunk: Buffer, start: number, end: number): boolean {
    if (this.#header.add(chunk, start, end)) return true;
    this.connectionError(ErrorCode.enhanceYourCalm, "a header block is too large to be read");
    return false;
  }

  #onPriority(id: number, chunk: Buffer, start: number, end: number): void {
    if (id === 0) return this.connectionError(ErrorCode.protocolError, "PRIORITY on stream 0");
    const stream = this.streams.get(id);
    let code: number = ErrorCode.noError;
    if (end - start !== 5) code = ErrorCode.frameSizeError;
    else if (readUint31(chunk, start) === id) code = ErrorCode.protocolError;
    else if (this.abused(1)) return;
    if (code === ErrorCode.noError) return;
    if (stream !== null) this.streamError(stream, code, "PRIORITY is malformed");
    else this.connectionError(code, "PRIORITY is malformed");
  }

  #onRstStream(id: number, chunk: Buffer, start: number, end: number): void {
    if (end - start !== 4) return this.connectionError(ErrorCode.frameSizeError, "RST_STREAM must have 4 bytes");
    if (id === 0) return this.connectionError(ErrorCode.protocolError, "RST_STREAM on stream 0");
    const stream = this.streams.get(id);
    if (stream === null) {
      if (this.isIdle(id)) this.connectionError(ErrorCode.protocolError, `RST_STREAM on idle stream ${id}`);
      else this.abused(1);
      return;
    }
    const code = readUint32(chunk, start);
    // Rapid reset (CVE-2023-44487) opens and resets at once; who waited a while and gave up is a client like others.
    const rapid = this.isServer && this.now - stream.openedAt < RAPID_MS;
    this.closeStream(stream);
    const kind = code === ErrorCode.refusedStream ? "refused" : "reset";
    const text = `stream reset by ${this.peer.address}: ${errorCodeName(code)}`;
    stream.sink.onReset(stream, this.failureOf(stream, kind, code, text));
    if (rapid) this.abused(1);
  }

  #onSettingsFrame(flags: number, id: number, chunk: Buffer, start: number, end: number): void {
    if (id !== 0) return this.connectionError(ErrorCode.protocolError, "SETTINGS on a stream");
    if ((flags & Flag.ack) !== 0) {
      if (end !== start) return this.connectionError(ErrorCode.frameSizeError, "SETTINGS with ACK must be empty");
      if (!this.#settings.running && this.abused(1)) return;
      this.#settings.stop();
      return this.#settingsInForce();
    }
    if ((end - start) % 6 !== 0)
      return this.connectionError(ErrorCode.frameSizeError, "SETTINGS must have 6 bytes each");
    if (this.abused(1)) return;
    const settings = this.peerSettings;
    const windowBefore = settings.initialWindowSize;
    const error = applySettings(settings, chunk, start, end, !this.isServer);
    if (error !== ErrorCode.noError) return this.connectionError(error, "SETTINGS has a value that is not allowed");
    this.peerSettingsSeen = true;
    this.#opening.stop();
    this.writer.maxFrameBytes = settings.maxFrameSize;
    if (settings.headerTableSize < TABLE_BYTES) this.writer.tableShrunk();
    const change = settings.initialWindowSize - windowBefore;
    if (change !== 0 && !this.#moveWindows(change)) return;
    this.writer.settingsAck();
    this.onSettings();
    this.scheduler.pump();
  }

  /** What the peer sends from here on is counted with the window that we announced. */
  #settingsInForce(): void {
    const change = this.announcedWindow - this.streamWindow;
    if (change === 0) return;
    this.streamWindow += change;
    for (const stream of this.streams.list()) {
      stream.receiveWindow += change;
      if (stream.creditPending > 0 && !stream.remoteDone) this.creditStream(stream, 0);
    }
  }

  #moveWindows(change: number): boolean {
    for (const stream of this.streams.list()) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_UINT31) {
        this.connectionError(ErrorCode.flowControlError, "SETTINGS makes a stream's window too large");
        return false;
      }
      if (stream.sendWindow > 0) this.scheduler.resume(stream);
      else this.scheduler.remove(stream);
    }
    return true;
  }

  #onPing(flags: number, id: number, chunk: Buffer, start: number, end: number): void {
    if (end - start !== 8) return this.connectionError(ErrorCode.frameSizeError, "PING must have 8 bytes");
    if (id !== 0) return this.connectionError(ErrorCode.protocolError, "PING on a stream");
    if ((flags & Flag.ack) !== 0) return this.onPingAck(chunk, start);
    if (this.abused(1)) return;
    this.writer.ping(chunk, start, true);
  }

  #onGoawayFrame(id: number, chunk: Buffer, start: number, end: number): void {
    if (id !== 0) return this.connectionError(ErrorCode.protocolError, "GOAWAY on a stream");
    if (end - start < 8) return this.connectionError(ErrorCode.frameSizeError, "GOAWAY must have 8 bytes");
    const debug = chunk.toString("latin1", start + 8, Math.min(end, start + 8 + 128));
    this.onGoaway(readUint31(chunk, start), readUint32(chunk, start + 4), debug);
  }

  #onWindowUpdate(id: number, chunk: Buffer, start: number, end: number): void {
    if (end - start !== 4) return this.connectionError(ErrorCode.frameSizeError, "WINDOW_UPDATE must have 4 bytes");
    const increment = readUint31(chunk, start);
    if (this.abused(1)) return;
    if (id === 0) {
      if (increment === 0) return this.connectionError(ErrorCode.protocolError, "WINDOW_UPDATE by 0");
      if (this.scheduler.window + increment > MAX_UINT31) {
        return this.connectionError(ErrorCode.flowControlError, "the connection's window is too large");
      }
      this.scheduler.window += increment;
    } else {
      const stream = this.streams.get(id);
      if (stream === null) {
        if (this.isIdle(id)) this.connectionError(ErrorCode.protocolError, `WINDOW_UPDATE on idle stream ${id}`);
        return;
      }
      if (increment === 0) return this.streamError(stream, ErrorCode.protocolError, "WINDOW_UPDATE by 0");
      if (stream.sendWindow + increment > MAX_UINT31) {
        return this.streamError(stream, ErrorCode.flowControlError, "the stream's window is too large");
      }
      stream.sendWindow += increment;
      this.scheduler.resume(stream);
    }
    this.scheduler.pump();
  }

  /** A frame for a stream that is not open. */
  #onLate(id: number, what: string): void {
    if (this.isIdle(id)) this.connectionError(ErrorCode.protocolError, `${what} on idle stream ${id}`);
    else if (!this.resets.has(id)) this.connectionError(ErrorCode.streamClosed, `${what} on closed stream ${id}`);
  }

  /** Counts `length` against the connection's window, and gives it back in batches. False: the peer sent too much. */
  #received(length: number): boolean {
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) {
      this.connectionError(ErrorCode.flowControlError, "more DATA than the connection's window allows");
      return false;
    }
    this.#unreported += length;
    if (this.#unreported * 2 >= this.#connectionWindow) {
      this.writer.windowUpdate(0, this.#unreported);
      this.#receiveWindow += this.#unreported;
      this.#unreported = 0;
    }
    return true;
  }
}

/** HPACK's default; SETTINGS_HEADER_TABLE_SIZE is never announced. */
const TABLE_BYTES = 4_096;
const MIN_CONNECTION_WINDOW_BYTES = 1_048_576;
/** A reset of a younger stream counts as abuse. */
const RAPID_MS = 1_000;
