import { giveBack, takeBlock } from "../../core/block-pool.ts";

/**
 * A connection's output, gathered in one block of the process's pool until the shell takes it. While what was taken is being written, new
 * output goes to another block. An idle connection holds none.
 *
 *     append ... append  -> take() -> [shell writes] -> written() -> the block goes back
 */
export class Output {
  #buffer: Buffer | null = null;
  #length = 0;
  #taken: Buffer | null = null;
  #takenLength = 0;
  /** What the last turn wrote: the next is likely to write as much, and need not grow to it. */
  #usual = 0;

  /** Bytes not yet taken. */
  get length(): number {
    return this.#length;
  }

  /** Bytes not yet handed to the kernel: taken or not. */
  get unwritten(): number {
    return this.#length + this.#takenLength;
  }

  bytes(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    const buffer = this.#reserve(size);
    buffer.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.#length);
    this.#length += size;
  }

  /** Appends text whose characters are known to be below 256. */
  latin1(text: string): void {
    const buffer = this.#reserve(text.length);
    if (text.length > 24) {
      buffer.write(text, this.#length, "latin1");
    } else {
      let at = this.#length;
      for (let i = 0; i < text.length; i++) buffer[at++] = text.charCodeAt(i);
    }
    this.#length += text.length;
  }

  /** Forgets what was appended after the output had this length. */
  rollBack(length: number): void {
    this.#length = length;
  }

  take(): Uint8Array {
    const buffer = this.#buffer;
    if (buffer === null) return NOTHING;
    this.#taken = buffer;
    this.#takenLength = this.#usual = this.#length;
    this.#buffer = null;
    this.#length = 0;
    return buffer.subarray(0, this.#takenLength);
  }

  /** What was taken has been written: its buffer may be used again. */
  written(): void {
    if (this.#taken !== null) giveBack(this.#taken);
    this.#taken = null;
    this.#takenLength = 0;
  }

  /** Drops everything; what was taken stays with the shell. */
  clear(): void {
    if (this.#buffer !== null) giveBack(this.#buffer);
    this.#buffer = null;
    this.#length = 0;
    this.#taken = null;
    this.#takenLength = 0;
  }

  #reserve(size: number): Buffer {
    const buffer = this.#buffer;
    const needed = this.#length + size;
    if (buffer !== null && needed <= buffer.length) return buffer;
    const larger = takeBlock(Math.max(needed, this.#usual));
    if (buffer !== null) {
      larger.set(buffer.subarray(0, this.#length));
      giveBack(buffer);
    }
    this.#buffer = larger;
    return larger;
  }
}

const NOTHING = new Uint8Array(0);
