import { type Head, responseHead } from "../wire/head.ts";
import type { HttpStream, StreamSink } from "../wire/stream.ts";
import type { RequestPlan } from "./dispatch.ts";

/**
 * A plan that gives the same answer to every request. It comes after the request's body, so that a body that contradicts its head is still found
 * out; one of more than MAX_DISCARD_BYTES is answered before its end, and the caller told to stop.
 */
export function answer(status: number, fields: readonly string[], body: Uint8Array | null): RequestPlan {
  const full = responseHead(status, body === null ? fields : [...fields, "content-length", String(body.length)]);
  const send = (stream: HttpStream, request: Head): void => {
    const withBody = body !== null && body.length > 0 && request.method !== "HEAD";
    stream.sendHead(full, null, !withBody);
    if (withBody) stream.sendData(body, 0, body.length, true);
  };
  return {
    start(stream, request, fin) {
      if (fin) send(stream, request);
      else stream.sink = new BodyDiscarder(() => send(stream, request));
    },
  };
}

/** Takes what is left of an answered request's body and drops it, so that a small one does not cost the connection. */
export function discardBody(stream: HttpStream): void {
  stream.sink = new BodyDiscarder(null);
}

class BodyDiscarder implements StreamSink {
  /** What is still to be sent; null once it was. */
  #answer: (() => void) | null;
  #seen = 0;

  constructor(answer: (() => void) | null) {
    this.#answer = answer;
  }

  onHead(): void {}

  onData(stream: HttpStream, _chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    stream.credit(end - start);
    this.#seen += end - start;
    const tooMuch = this.#seen > MAX_DISCARD_BYTES;
    if (fin || tooMuch) this.#send();
    if (tooMuch && !fin) stream.reset(NO_ERROR);
  }

  onTrailers(): void {
    this.#send();
  }

  onReset(): void {}

  onWritable(): void {}

  #send(): void {
    const answer = this.#answer;
    this.#answer = null;
    answer?.();
  }
}

const MAX_DISCARD_BYTES = 64 * 1024;
/** HTTP/2's error code for "the response is complete, stop sending" (RFC 9113, 8.1). */
const NO_ERROR = 0;
