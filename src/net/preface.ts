/**
 * Tells HTTP/2 from HTTP/1.1 by a connection's first bytes (RFC 9113 section 3.4): the client preface begins with a request line
 * that no HTTP/1.1 request can have. Nothing needs to be kept while undecided: what was read is a prefix of PREFACE.
 */
export class PrefaceMatcher {
  #matched = 0;

  /** "http2" or "http1" once it is known, "" while it is not. `matched` bytes of PREFACE came before this chunk. */
  feed(chunk: Uint8Array, start: number, end: number): "http1" | "http2" | "" {
    let matched = this.#matched;
    for (let at = start; at < end && matched < DECIDING; at++) {
      if (chunk[at] !== PREFACE[matched]) return "http1";
      matched++;
    }
    if (matched === DECIDING) return "http2";
    this.#matched = matched;
    return "";
  }

  /** Bytes of PREFACE seen in earlier chunks. */
  get matched(): number {
    return this.#matched;
  }
}

export const PREFACE: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** The request line with its line end; what is wrong after it is HTTP/2's to complain about. */
const DECIDING = 16;
