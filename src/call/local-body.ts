import type { HttpStream } from "../wire/stream.ts";

/**
 * The body of an answer of weft's own, sent as fast as the caller takes it: a stored answer may be large, and a caller who does not read must not make it wait
 * here once for each of its requests.
 */
export class LocalBody {
  readonly #stream: HttpStream;
  readonly #body: Uint8Array;
  #sent = 0;

  constructor(stream: HttpStream, body: Uint8Array) {
    this.#stream = stream;
    this.#body = body;
  }

  /** Sends what may be sent now. True when that was the last; otherwise it is to be called again when the stream is writable. */
  send(): boolean {
    const { length } = this.#body;
    while (!this.#stream.closed) {
      const end = Math.min(this.#sent + SLICE_BYTES, length);
      const start = this.#sent;
      this.#sent = end;
      const writable = this.#stream.sendData(this.#body, start, end, end === length);
      if (end === length) return true;
      if (!writable) return false;
    }
    return true;
  }
}

const SLICE_BYTES = 65_536;
