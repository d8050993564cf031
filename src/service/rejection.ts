import { type Head, responseHead } from "../wire/head.ts";
import type { HttpStream, StreamSink } from "../wire/stream.ts";
import type { RequestPlan } from "./dispatch.ts";

/** A plan that gives the same answer to every request, whatever its body. */
export function answer(status: number, fields: readonly string[], body: Uint8Array | null): RequestPlan {
  const full = responseHead(status, body === null ? fields : [...fields, "content-length", String(body.length)]);
  return {
    start(stream: HttpStream, head: Head, fin: boolean) {
      if (!fin) discardBody(stream);
      const send = body !== null && body.length > 0 && head.method !== "HEAD";
      stream.sendHead(full, null, !send);
      if (send) stream.sendData(body, 0, body.length, true);
    },
  };
}

/**
 * Takes what is left of a request's body and drops it, so that a small one does not cost the connection; after MAX_DISCARD_BYTES the peer is told
 * to stop.
 */
export function discardBody(stream: HttpStream): void {
  stream.owner = 0;
  stream.sink = DISCARD;
}

const MAX_DISCARD_BYTES = 64 * 1024;

const DISCARD: StreamSink = {
  onHead() {},
  onData(stream, _chunk, start, end, fin) {
    stream.credit(end - start);
    const seen = (stream.owner as number) + end - start;
    stream.owner = seen;
    if (!fin && seen > MAX_DISCARD_BYTES) stream.reset(0);
  },
  onTrailers() {},
  onReset() {},
  onWritable() {},
};
