/** Body bytes of one stream that wait for window or for room in the output: copied in, and handed out in pieces of any size. */
export class SendQueue {
  bytes = 0;
  readonly #segments: Segment[] = [];
  #first = 0;

  push(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    const last = this.#segments[this.#segments.length - 1];
    if (last !== undefined && this.#first < this.#segments.length && last.buffer.length - last.end >= length) {
      last.buffer.set(bytes.subarray(start, end), last.end);
      last.end += length;
    } else {
      const buffer = Buffer.allocUnsafeSlow(Math.max(length, MIN_SEGMENT_BYTES));
      buffer.set(bytes.subarray(start, end), 0);
      this.#segments.push({ buffer, start: 0, end: length });
    }
    this.bytes += length;
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
      if (segment.start === segment.end) this.#first++;
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
