/** Objects of JSON, one a line, out of bytes that come in any pieces. */
export class JsonLines {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #waiting = 0;

  /** No line may be longer than `maxBytes`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The values of the lines that are whole now. Throws for a line that is too long or no JSON; it is not to be used any more then. */
  push(bytes: Buffer): unknown[] {
    const values: unknown[] = [];
    let from = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, from)) {
      this.#keep(bytes.subarray(from, end));
      from = end + 1;
      const line = this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces);
      this.#pieces = [];
      this.#waiting = 0;
      if (line.length > 0) values.push(JSON.parse(line.toString("utf8")));
    }
    if (from < bytes.length) this.#keep(bytes.subarray(from));
    return values;
  }

  #keep(piece: Buffer): void {
    this.#waiting += piece.length;
    if (this.#waiting > this.#maxBytes) throw new Error(`a line is longer than ${this.#maxBytes} bytes`);
    this.#pieces.push(piece);
  }
}

const LF = 10;
