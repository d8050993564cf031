import { giveBack, takeBlock } from "../../core/block-pool.ts";

/** Body bytes of one stream that wait for window or for room in the output: copied in, and handed out in pieces of any size. */
export class SendQueue {
  bytes = 0;
  readonly #segments: Segment[] = [];
  #first = 0;

  push(bytes: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
    while (start < end) {
      let last = this.#segments[this.#segments.length - 1];
      if (last === undefined || this.#first === this.#segments.length || last.end === last.buffer.length) {
        last = { buffer: takeBlock(Math.min(end - start, SEGMENT_BYTES)), start: 0, end: 0 };
        this.#segments.push(last);
      }
      const part = Math.min(end - start, last.buffer.length - last.end);
      last.buffer.set(bytes.subarray(start, start + part), last.end);
      last.end += part;
      start += part;
    }
  }

  /** Drops everything. */
  clear(): void {
    for (let i = this.#first; i < this.#segments.length; i++) giveBack(this.#segments[i].buffer);
    this.#segments.length = 0;
    this.#first = 0;
    this.bytes = 0;
  }

  /** Moves the first `count` bytes (no more than there are) to `out` at `at`. */
  shift(out: Uint8Array, at: number, count: number): void {
    this.bytes -= count;
    while (count > 0) {
      const segment = this.#segments[this.#first];
      const part = Math.min(count, segment.end - segment.start);
      segment.buffer.copy(out, at, segment.start, segment.start + part);
      segment.start += part;
      at += part;
      count -= part;
      // The last one may have room for more, but then it would never go back to be used again.
      if (segment.start === segment.end) {
        giveBack(segment.buffer);
        this.#first++;
      }
    }
    if (this.#first === this.#segments.length) {
      this.#segments.length = 0;
      this.#first = 0;
    } else if (this.#first >= 64) {
      this.#segments.splice(0, this.#first);
      this.#first = 0;
    }
  }
}

interface Segment {
  readonly buffer: Buffer;
  start: number;
  end: number;
}

/** Large writes are cut into segments of this size. */
const SEGMENT_BYTES = 16_384;
