import { StringDecoder } from "node:string_decoder";

/**
 * Cuts a stream of bytes into lines of text. A line longer than `maxLineBytes` is handed over in pieces, so that what is kept is
 * bounded whatever a process prints. `\r\n` counts as one end of line; malformed UTF-8 becomes U+FFFD.
 */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #maxLineBytes: number;
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";

  constructor(onLine: (line: string) => void, maxLineBytes = 16_384) {
    this.#onLine = onLine;
    this.#maxLineBytes = maxLineBytes;
  }

  push(chunk: Uint8Array): void {
    const text = this.#rest + this.#decoder.write(chunk as Buffer);
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      this.#emit(text, from, end > from && text.charCodeAt(end - 1) === CARRIAGE_RETURN ? end - 1 : end);
      from = end + 1;
    }
    while (text.length - from > this.#maxLineBytes) {
      this.#onLine(text.slice(from, from + this.#maxLineBytes));
      from += this.#maxLineBytes;
    }
    this.#rest = text.slice(from);
  }

  /** The stream ended: what is left is a line. */
  end(): void {
    const text = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (text !== "") this.#emit(text, 0, text.length);
  }

  #emit(text: string, from: number, to: number): void {
    do {
      this.#onLine(text.slice(from, Math.min(to, from + this.#maxLineBytes)));
      from += this.#maxLineBytes;
    } while (from < to);
  }
}

const CARRIAGE_RETURN = 13;
