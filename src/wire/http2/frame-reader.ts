import { giveBack, takeBlock } from "../../core/block-pool.ts";
import { ErrorCode } from "./errors.ts";
import { FRAME_HEADER_BYTES } from "./frame.ts";

/** Hears whole frames. */
export interface FrameSink {
  /** True once no more frames are wanted. */
  readonly closing: boolean;
  /** The payload is bytes [start, end) of `chunk`, valid during the call. */
  onFrame(type: number, flags: number, streamId: number, chunk: Buffer, start: number, end: number): void;
  onFrameError(code: number, message: string): void;
}

/**
 * Cuts the byte stream into frames. A frame that lies whole in what was read is parsed in place; only the one that is cut off at a
 * chunk's end is copied, into a carry-over buffer, which is given back when the frame is complete.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  #carry: Buffer | null = null;
  #have = 0;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);

  constructor(sink: FrameSink, maxFrameBytes: number) {
    this.#sink = sink;
    this.#maxFrameBytes = maxFrameBytes;
  }

  read(chunk: Buffer, start: number, end: number): void {
    const sink = this.#sink;
    let at = this.#have > 0 ? this.#complete(chunk, start, end) : start;
    while (end - at >= FRAME_HEADER_BYTES && !sink.closing) {
      const length = (chunk[at] << 16) | (chunk[at + 1] << 8) | chunk[at + 2];
      if (length > this.#maxFrameBytes) return this.#tooLong(length);
      const payload = at + FRAME_HEADER_BYTES;
      const next = payload + length;
      if (next > end) break;
      const id = ((chunk[at + 5] & 0x7f) << 24) | (chunk[at + 6] << 16) | (chunk[at + 7] << 8) | chunk[at + 8];
      sink.onFrame(chunk[at + 3], chunk[at + 4], id, chunk, payload, next);
      at = next;
    }
    if (at < end && !sink.closing) this.#complete(chunk, at, end);
  }

  /** Adds to the frame that was cut off, and hands it on when that completes it. Returns where the rest begins. */
  #complete(chunk: Buffer, start: number, end: number): number {
    let at = start;
    if (this.#have < FRAME_HEADER_BYTES) {
      while (at < end && this.#have < FRAME_HEADER_BYTES) this.#header[this.#have++] = chunk[at++];
      if (this.#have < FRAME_HEADER_BYTES) return at;
    }
    const header = this.#header;
    const length = (header[0] << 16) | (header[1] << 8) | header[2];
    if (length > this.#maxFrameBytes) {
      this.#tooLong(length);
      return end;
    }
    const carry = (this.#carry ??= takeBlock(length));
    const had = this.#have - FRAME_HEADER_BYTES;
    const part = Math.min(end - at, length - had);
    chunk.copy(carry, had, at, at + part);
    this.#have += part;
    at += part;
    if (had + part < length) return at;
    this.#carry = null;
    this.#have = 0;
    const id = ((header[5] & 0x7f) << 24) | (header[6] << 16) | (header[7] << 8) | header[8];
    this.#sink.onFrame(header[3], header[4], id, carry, 0, length);
    giveBack(carry);
    return at;
  }

  #tooLong(length: number): void {
    const text = `a frame of ${length} bytes is longer than the ${this.#maxFrameBytes} that are allowed`;
    this.#sink.onFrameError(ErrorCode.frameSizeError, text);
  }
}
