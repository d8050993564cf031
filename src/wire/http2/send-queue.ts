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
        last = { buffer: allocate(end - start), start: 0, end: 0 };
        this.#segments.push(last);
      }
      const part = Math.min(end - start, last.buffer.length - last.end);
      last.buffer.set(bytes.subarray(start, start + part), last.end);
      last.end += part;
      start += part;
    }
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
        release(segment.buffer);
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

/** Small writes share a segment. */
const MIN_SEGMENT_BYTES = 2_048;
/** Larger ones are cut into segments of one size, which are used again: buffers for each write would pile up until the collector
 * minds memory outside of its heap, and that is tens of megabytes late. */
const SEGMENT_BYTES = 16_384;
const MAX_FREE = 128;
const free: Buffer[] = [];

function allocate(length: number): Buffer {
  if (length <= MIN_SEGMENT_BYTES) return Buffer.allocUnsafeSlow(MIN_SEGMENT_BYTES);
  return free.pop() ?? Buffer.allocUnsafeSlow(SEGMENT_BYTES);
}

function release(buffer: Buffer): void {
  if (buffer.length === SEGMENT_BYTES && free.length < MAX_FREE) free.push(buffer);
}
