/**
 * A connection's output, gathered in one buffer until the shell takes it. While what was taken is being written, new output goes to
 * another buffer. Buffers come from free lists of three sizes, so that an idle connection holds none.
 *
 *     append ... append  -> take() -> [shell writes] -> written() -> buffer back on its free list
 */
export class Output {
  #buffer: Buffer | null = null;
  #length = 0;
  #taken: Buffer | null = null;
  #takenLength = 0;

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
    this.#takenLength = this.#length;
    this.#buffer = null;
    this.#length = 0;
    return buffer.subarray(0, this.#takenLength);
  }

  /** What was taken has been written: its buffer may be used again. */
  written(): void {
    if (this.#taken !== null) release(this.#taken);
    this.#taken = null;
    this.#takenLength = 0;
  }

  /** Drops everything; what was taken stays with the shell. */
  clear(): void {
    if (this.#buffer !== null) release(this.#buffer);
    this.#buffer = null;
    this.#length = 0;
    this.#taken = null;
    this.#takenLength = 0;
  }

  #reserve(size: number): Buffer {
    const buffer = this.#buffer;
    const needed = this.#length + size;
    if (buffer !== null && needed <= buffer.length) return buffer;
    const larger = allocate(needed);
    if (buffer !== null) {
      larger.set(buffer.subarray(0, this.#length));
      release(buffer);
    }
    this.#buffer = larger;
    return larger;
  }
}

const NOTHING = new Uint8Array(0);

/** Buffers of one size that are used again; without them dead ones pile up until the collector minds memory outside of its heap. */
class SizeClass {
  readonly size: number;
  readonly #keep: number;
  readonly #free: Buffer[] = [];

  constructor(size: number, keep: number) {
    this.size = size;
    this.#keep = keep;
  }

  allocate(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  release(buffer: Buffer): void {
    if (this.#free.length < this.#keep) this.#free.push(buffer);
  }
}

/** Heads and short messages; a read chunk with what was there before; the default high-water mark with what a paused sender may still send (its window and a read chunk). */
const CLASSES: readonly SizeClass[] = [
  new SizeClass(16_384, 256),
  new SizeClass(131_072, 16),
  new SizeClass(655_360, 8),
];

function allocate(size: number): Buffer {
  for (const each of CLASSES) if (size <= each.size) return each.allocate();
  return Buffer.allocUnsafeSlow(Math.ceil(size * 1.5));
}

function release(buffer: Buffer): void {
  for (const each of CLASSES) if (buffer.length === each.size) each.release(buffer);
}
