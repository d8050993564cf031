import { sendLocalResponse } from "../call/local-response.ts";
import { codeNumber, type WeftError } from "../core/errors.ts";
import type { Head } from "../wire/head.ts";
import type { HttpStream } from "../wire/stream.ts";
import type { CallEnd } from "./call-end.ts";
import { UnreadBody } from "./unread-body.ts";

/** Answers a request that does not become a call, and returns how it ended, for logs and metrics. */
export function answerError(
  stream: HttpStream,
  head: Head,
  fin: boolean,
  grpc: boolean,
  error: WeftError,
  requestId: string,
): CallEnd {
  stream.sink = new UnreadBody(fin);
  const status = sendLocalResponse(
    stream,
    { error, status: 0, fields: [], body: null },
    { grpc, headOnly: head.method === "HEAD" },
    ["x-request-id", requestId],
  );
  const outcome = { status, grpcStatus: grpc ? codeNumber(error.code) : -1, reason: error.reason };
  return { requestId, service: "", durationMs: 0, attempts: [], outcome };
}
