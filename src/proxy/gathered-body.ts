import { WeftError } from "../core/errors.ts";
import type { BufferBudget } from "../service/buffer-budget.ts";

/** A request's body while it arrives in parts: bounded by itself, and together with all others by a budget. */
export class GatheredBody {
  readonly #maxBytes: number;
  readonly #budget: BufferBudget;
  #parts: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(maxBytes: number, budget: BufferBudget) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** Keeps a copy of [start, end). Throws `resource_exhausted`: MESSAGE_TOO_LARGE for this body, the budget's own for all together. */
  add(chunk: Uint8Array, start: number, end: number): void {
    const bytes = end - start;
    if (bytes === 0) return;
    if (this.#heldBytes + bytes > this.#maxBytes) {
      const message = `the request body is larger than ${this.#maxBytes} bytes, which is the limit`;
      throw new WeftError("resource_exhausted", message, { reason: "MESSAGE_TOO_LARGE" });
    }
    this.#budget.take(bytes);
    this.#heldBytes += bytes;
    this.#parts.push(Buffer.from(chunk.subarray(start, end)));
  }

  /** The whole, until release(). */
  bytes(): Uint8Array {
    return this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
  }

  /** Forgets the bytes and gives them back to the budget. Idempotent. */
  release(): void {
    this.#parts = [];
    this.#budget.take(-this.#heldBytes);
    this.#heldBytes = 0;
  }
}
