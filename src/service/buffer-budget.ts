import { WeftError } from "../core/errors.ts";

/**
 * What the requests of a server may hold in memory together: messages and bodies that arrive in parts, and messages that a handler has not
 * read yet. Without it one connection with a thousand streams could have the server keep a thousand times the largest message.
 */
export class BufferBudget {
  readonly maxBytes: number;
  #used = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#used;
  }

  /** Holds `bytes` more (or fewer, when negative). Throws `resource_exhausted` and holds nothing when that is too much. */
  take(bytes: number): void {
    if (bytes > 0 && this.#used + bytes > this.maxBytes) {
      throw new WeftError(
        "resource_exhausted",
        `the server holds ${this.#used} bytes of incomplete requests and unread messages; at most ${this.maxBytes} are allowed (maxBufferedBytes)`,
        { reason: "SERVER_BUFFERS_FULL", retryable: true },
      );
    }
    this.#used += bytes;
  }
}
