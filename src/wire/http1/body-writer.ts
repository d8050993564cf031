import { CRLF, writeExtra } from "./encode.ts";
import type { Output } from "./output.ts";

/** Puts the framing on a message's body. One for a message. */
export class BodyWriter {
  readonly #output: Output;
  /** Bytes still owed of a content-length, or CHUNKED, UNTIL_CLOSE, NONE (then data is dropped: HEAD, 204, 304). */
  #mode = NONE;

  constructor(output: Output) {
    this.#output = output;
  }

  begin(mode: number): void {
    this.#mode = mode;
  }

  get chunked(): boolean {
    return this.#mode === CHUNKED;
  }

  /** False when the body would get longer than declared, or ends shorter: the message cannot be saved, the connection must close. */
  data(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    const size = end - start;
    const mode = this.#mode;
    if (mode >= 0) {
      if (size > mode) return false;
      if (size > 0) this.#output.bytes(bytes, start, end);
      this.#mode = mode - size;
      return !fin || this.#mode === 0;
    }
    if (mode === CHUNKED) {
      if (size > 0) {
        this.#output.latin1(size.toString(16));
        this.#output.bytes(CRLF, 0, 2);
        this.#output.bytes(bytes, start, end);
        if (fin) this.#output.bytes(LAST, 0, LAST.length);
        else this.#output.bytes(CRLF, 0, 2);
      } else if (fin) {
        this.#output.bytes(LAST, 2, LAST.length);
      }
    } else if (mode === UNTIL_CLOSE && size > 0) {
      this.#output.bytes(bytes, start, end);
    }
    return true;
  }

  /** Ends a chunked body with trailer fields. Throws WeftError for those that cannot be sent. */
  trailers(fields: readonly string[], extra: readonly string[] | null): void {
    this.#output.latin1("0\r\n");
    writeExtra(this.#output, fields);
    if (extra !== null) writeExtra(this.#output, extra);
    this.#output.bytes(CRLF, 0, 2);
  }
}

export const CHUNKED = -1;
export const UNTIL_CLOSE = -2;
export const NONE = -3;

const LAST = Buffer.from("\r\n0\r\n\r\n", "latin1");
