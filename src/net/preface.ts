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

/** Whether a connection that begins so (`earlier` bytes of PREFACE, then these) may speak HTTP/1: a method, a space, and the begin of a target. */
export function mayBeHttp1(earlier: number, chunk: Uint8Array, start: number, end: number): boolean {
  const first = Buffer.concat([PREFACE.subarray(0, earlier), chunk.subarray(start, Math.min(end, start + MAX_METHOD))]);
  const text = first.toString("latin1");
  const method = /^[A-Za-z!#$%&'*+.^_`|~-]*/.exec(text)?.[0] ?? "";
  if (method.length === text.length) return text.length < MAX_METHOD;
  if (method === "" || text[method.length] !== " ") return false;
  const target = text[method.length + 1];
  return target === undefined || method === "CONNECT" || target === "/" || target === "*" || /[Hh]/.test(target);
}

/** Longer than any method that is in use, with a character of the target. */
const MAX_METHOD = 24;

export const PREFACE: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** The request line with its line end; what is wrong after it is HTTP/2's to complain about. */
const DECIDING = 16;
