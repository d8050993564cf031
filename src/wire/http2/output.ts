import { giveBack, takeBlock } from "../../core/block-pool.ts";

/**
 * Where a connection gathers what it will write, in a block of the process's pool. While one is on its way to the kernel, another is filled.
 *
 *     reserve, fill ... -> take() -> (shell writes) -> written() -> the block goes back
 *
 * 1. Bytes that were taken are not touched before written().
 * 2. A connection that has nothing to write holds no block.
 */
export class Output {
  /** Valid up to `length`; may be replaced by reserve(). */
  bytes: Buffer = NOTHING;
  length = 0;
  /** Bytes taken and not yet reported written. */
  inFlight = 0;
  /** Bytes ever taken. */
  taken = 0;
  #flying: Buffer | null = null;
  /** What the last turn wrote: the next is likely to write as much, and need not grow to it. */
  #usual = 0;

  /** Makes room for `count` more bytes and returns where they begin. The caller fills them and moves `length` on. */
  reserve(count: number): number {
    const at = this.length;
    if (at + count > this.bytes.length) this.#grow(at + count);
    return at;
  }

  take(): Buffer {
    const { bytes, length } = this;
    if (length === 0) return NOTHING;
    this.#usual = length;
    this.taken += length;
    this.inFlight += length;
    this.bytes = NOTHING;
    this.length = 0;
    // Taken twice before written(): the second block is left to the collector.
    this.#flying ??= bytes;
    return bytes.subarray(0, length);
  }

  written(): void {
    this.inFlight = 0;
    if (this.#flying !== null) giveBack(this.#flying);
    this.#flying = null;
  }

  /** Drops what was not taken; what was stays with the shell, which may still be writing it. */
  clear(): void {
    if (this.bytes !== NOTHING) giveBack(this.bytes);
    this.bytes = NOTHING;
    this.length = 0;
    this.#flying = null;
  }

  #grow(need: number): void {
    const grown = takeBlock(Math.max(need, this.#usual));
    if (this.bytes !== NOTHING) {
      this.bytes.copy(grown, 0, 0, this.length);
      giveBack(this.bytes);
    }
    this.bytes = grown;
  }
}

const NOTHING = Buffer.alloc(0);
