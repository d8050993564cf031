import { Flag, FRAME_HEADER_BYTES, FrameType, MIN_MAX_FRAME_BYTES, writeFrameHeader, writeUint32 } from "./frame.ts";
import { fieldsBound, writeFields } from "./hpack/encoder.ts";
import { Output } from "./output.ts";
import type { SendQueue } from "./send-queue.ts";

/** Writes frames into the connection's output. */
export class FrameWriter {
  readonly output = new Output();
  /** The peer's SETTINGS_MAX_FRAME_SIZE. */
  maxFrameBytes = MIN_MAX_FRAME_BYTES;
  #tableUpdateDue = false;

  /** The peer's decoder has made its table smaller than the 4,096 bytes that we never use: it must be told so before the next block.
   * Source: RFC 7541 section 4.2. */
  tableShrunk(): void {
    this.#tableUpdateDue = true;
  }

  /** A header block with fields added to it, as HEADERS and, where it is too long for one frame, CONTINUATION. Throws, with nothing
   * written, for fields that must not be sent. */
  headers(streamId: number, block: Uint8Array, extra: readonly string[] | null, fin: boolean): void {
    const out = this.output;
    const bound = block.length + 1 + (extra === null ? 0 : fieldsBound(extra));
    const start = out.reserve(FRAME_HEADER_BYTES + bound);
    const bytes = out.bytes;
    let at = start + FRAME_HEADER_BYTES;
    const update = this.#tableUpdateDue;
    if (update) bytes[at++] = 0x20;
    const length = block.length;
    if (length <= SHORT) {
      for (let i = 0; i < length; i++) bytes[at + i] = block[i];
    } else {
      bytes.set(block, at);
    }
    at += length;
    if (extra !== null) at = writeFields(bytes, at, extra);
    if (update) this.#tableUpdateDue = false;
    const payload = at - start - FRAME_HEADER_BYTES;
    if (payload > this.maxFrameBytes) return this.#continued(streamId, start, payload, fin);
    writeFrameHeader(
      bytes,
      start,
      payload,
      FrameType.headers,
      fin ? Flag.endHeaders | Flag.endStream : Flag.endHeaders,
      streamId,
    );
    out.length = at;
  }

  /** One DATA frame with bytes [start, end). */
  data(streamId: number, source: Uint8Array, start: number, end: number, fin: boolean): void {
    const out = this.output;
    const length = end - start;
    const at = out.reserve(FRAME_HEADER_BYTES + length);
    const bytes = out.bytes;
    writeFrameHeader(bytes, at, length, FrameType.data, fin ? Flag.endStream : 0, streamId);
    const to = at + FRAME_HEADER_BYTES;
    if (length <= SHORT) {
      for (let i = 0; i < length; i++) bytes[to + i] = source[start + i];
    } else {
      bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), to);
    }
    out.length = to + length;
  }

  /** One DATA frame with the first `count` bytes of a queue. */
  queued(streamId: number, queue: SendQueue, count: number, fin: boolean): void {
    const out = this.output;
    const at = out.reserve(FRAME_HEADER_BYTES + count);
    writeFrameHeader(out.bytes, at, count, FrameType.data, fin ? Flag.endStream : 0, streamId);
    queue.shift(out.bytes, at + FRAME_HEADER_BYTES, count);
    out.length = at + FRAME_HEADER_BYTES + count;
  }

  rstStream(streamId: number, code: number): void {
    const at = this.#frame(4, FrameType.rstStream, 0, streamId); // first: it may replace the buffer
    writeUint32(this.output.bytes, at, code);
  }

  windowUpdate(streamId: number, increment: number): void {
    const at = this.#frame(4, FrameType.windowUpdate, 0, streamId); // first: it may replace the buffer
    writeUint32(this.output.bytes, at, increment);
  }

  /** `payload`: 8 bytes at `start`. */
  ping(payload: Uint8Array, start: number, ack: boolean): void {
    const at = this.#frame(8, FrameType.ping, ack ? Flag.ack : 0, 0);
    for (let i = 0; i < 8; i++) this.output.bytes[at + i] = payload[start + i];
  }

  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    let at = this.#frame(entries.length * 6, FrameType.settings, 0, 0);
    const bytes = this.output.bytes;
    for (const [id, value] of entries) {
      bytes[at] = id >>> 8;
      bytes[at + 1] = id;
      writeUint32(bytes, at + 2, value);
      at += 6;
    }
  }

  settingsAck(): void {
    this.#frame(0, FrameType.settings, Flag.ack, 0);
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    const text = Buffer.from(debug, "latin1");
    const at = this.#frame(8 + text.length, FrameType.goaway, 0, 0);
    const bytes = this.output.bytes;
    writeUint32(bytes, at, lastStreamId);
    writeUint32(bytes, at + 4, code);
    bytes.set(text, at + 8);
  }

  raw(source: Uint8Array): void {
    const at = this.output.reserve(source.length);
    this.output.bytes.set(source, at);
    this.output.length = at + source.length;
  }

  /** A frame header with room for its payload; returns where that begins. */
  #frame(length: number, type: number, flags: number, streamId: number): number {
    const out = this.output;
    const at = out.reserve(FRAME_HEADER_BYTES + length);
    writeFrameHeader(out.bytes, at, length, type, flags, streamId);
    out.length = at + FRAME_HEADER_BYTES + length;
    return at + FRAME_HEADER_BYTES;
  }

  /** The block lies behind `start`, after room for a frame header, and is longer than a frame may be. */
  #continued(streamId: number, start: number, payload: number, fin: boolean): void {
    const from = start + FRAME_HEADER_BYTES;
    const block = Buffer.from(this.output.bytes.subarray(from, from + payload));
    for (let at = 0; at < payload; at += this.maxFrameBytes) {
      const end = Math.min(payload, at + this.maxFrameBytes);
      const last = end === payload ? Flag.endHeaders : 0;
      const to =
        at === 0
          ? this.#frame(end, FrameType.headers, fin ? last | Flag.endStream : last, streamId)
          : this.#frame(end - at, FrameType.continuation, last, streamId);
      block.copy(this.output.bytes, to, at, end);
    }
  }
}

/** Up to here a loop is faster than a call into the engine's copy. */
const SHORT = 40;
