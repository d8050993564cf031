/**
 * Messages over TCP: two bytes of length before each (RFC 1035 section 4.2.2, RFC 7766 section 8). Bytes in, however they were cut; whole messages out.
 */
export class FrameReader {
  readonly #maxBytes: number;
  /** The message being gathered, from its first byte on; null while its length is read. */
  #message: Uint8Array | null = null;
  #filled = 0;
  /** First byte of a length that was cut in two; -1: none. */
  #high = -1;

  /** Longer messages break the stream. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes bytes from `start` on until a message is whole or `end` is reached; the caller goes on from `at`. Null `message`: none is whole yet. `failed`: an
   * empty or too long one, after which nothing can be read any more.
   */
  next(chunk: Uint8Array, start: number, end: number): { message: Uint8Array | null; at: number; failed: boolean } {
    let at = start;
    if (this.#message === null) {
      if (this.#high < 0 && at < end) this.#high = chunk[at++];
      if (at >= end) return { message: null, at, failed: false };
      const length = (this.#high << 8) | chunk[at++];
      this.#high = -1;
      if (length === 0 || length > this.#maxBytes) return { message: null, at, failed: true };
      this.#message = new Uint8Array(length);
      this.#filled = 0;
    }
    const message = this.#message;
    const count = Math.min(message.length - this.#filled, end - at);
    message.set(chunk.subarray(at, at + count), this.#filled);
    this.#filled += count;
    at += count;
    if (this.#filled < message.length) return { message: null, at, failed: false };
    this.#message = null;
    return { message, at, failed: false };
  }
}
