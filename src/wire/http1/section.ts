import { CR, LF } from "./grammar.ts";
import { MessageError } from "./message-error.ts";

/**
 * Finds the end of a head or of a trailer section (the empty line) in bytes that come in any pieces, and keeps the pieces until it is
 * complete. A bare CR or LF is refused as soon as it is seen, not when the section ends: it might never.
 */
export class Section {
  #held: Buffer | null = null;
  #length = 0;
  #previous = 0;
  #lineBytes = 0;
  /** Length of the first line, once it is complete. */
  #firstLineBytes = 0;

  /** Bytes kept of a section that is not complete. */
  get length(): number {
    return this.#length;
  }

  /**
   * Looks at bytes [start, end) of `chunk`. Returns where the section ends in it (then `take` gives the text), or -1 when it does not;
   * then the bytes have been kept. Throws MessageError.
   */
  feed(chunk: Uint8Array, start: number, end: number, limit: number): number {
    let previous = this.#previous;
    let lineBytes = this.#lineBytes;
    for (let at = start; at < end; at++) {
      const code = chunk[at];
      if (code === LF) {
        if (previous !== CR) throw new MessageError(400, "a line ends with LF alone");
        if (lineBytes === 0) {
          this.#checkSize(start, at + 1, limit);
          return at + 1;
        }
        lineBytes = 0;
        if (this.#firstLineBytes === 0) this.#firstLineBytes = this.#length + at - start;
      } else if (previous === CR) {
        throw new MessageError(400, "a CR without LF");
      } else if (code !== CR) {
        lineBytes++;
      }
      previous = code;
    }
    this.#previous = previous;
    this.#lineBytes = lineBytes;
    this.#checkSize(start, end, limit);
    this.#keep(chunk, start, end);
    return -1;
  }

  /** The complete section's text, whose last piece is bytes [start, end) of `chunk`; empties the section. */
  take(chunk: Uint8Array, start: number, end: number): string {
    let text: string;
    if (this.#length === 0) {
      text = bufferOf(chunk).toString("latin1", start, end);
    } else {
      this.#keep(chunk, start, end);
      text = (this.#held as Buffer).toString("latin1", 0, this.#length);
    }
    this.reset();
    return text;
  }

  reset(): void {
    this.#held = null;
    this.#length = 0;
    this.#previous = 0;
    this.#lineBytes = 0;
    this.#firstLineBytes = 0;
  }

  #checkSize(start: number, end: number, limit: number): void {
    if (this.#length + end - start <= limit) return;
    const inFirstLine = this.#firstLineBytes === 0 || this.#firstLineBytes > limit;
    throw new MessageError(inFirstLine ? 414 : 431, `head larger than ${limit} bytes`);
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    const needed = this.#length + end - start;
    if (this.#held === null || this.#held.length < needed) {
      const larger = Buffer.allocUnsafe(Math.max(512, needed * 2));
      if (this.#held !== null) larger.set(this.#held.subarray(0, this.#length));
      this.#held = larger;
    }
    this.#held.set(chunk.subarray(start, end), this.#length);
    this.#length = needed;
  }
}

/** The same memory as a Buffer, which has the fast text methods. */
function bufferOf(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
