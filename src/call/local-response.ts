import { problemResponse } from "../contract/problem.ts";
import { codeOfHttpStatus, trailersOfError } from "../contract/status.ts";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import type { LocalResponse } from "../policy/call.ts";
import { responseHead, trailersHead } from "../wire/head.ts";
import type { HttpStream } from "../wire/stream.ts";
import { LocalBody } from "./local-body.ts";

/**
 * The one place where an answer of weft's own becomes HTTP or gRPC: a trailers-only response to gRPC callers, application/problem+json to
 * others, or the fallback's, redirect's or preflight's own fields and body; a reset when it asks for one. `extra` are further fields of the head.
 * `later` is given what the caller does not take at once, to be sent on when the stream is writable; without it, it waits in the stream. Returns the HTTP status.
 */
export function sendLocalResponse(
  stream: HttpStream,
  response: LocalResponse,
  caller: { grpc: boolean; headOnly: boolean },
  extra: readonly string[] | null,
  later: ((rest: LocalBody) => void) | null = null,
): number {
  if (response.reset === true) {
    stream.reset(INTERNAL_ERROR);
    return response.status;
  }
  if (caller.grpc) return sendGrpc(stream, response, extra);
  const { status, fields, body } = response.error === null ? response : problemOf(response.error, response);
  const length = body === null ? 0 : body.length;
  const all = [...fields];
  if (status >= 200 && status !== 204 && status !== 304 && fieldOf(all, "content-length") === undefined) {
    all.push("content-length", String(length));
  }
  const fin = caller.headOnly || length === 0;
  stream.sendHead(responseHead(status, all), extra, fin);
  if (fin || body === null) return status;
  if (later === null) stream.sendData(body, 0, length, true);
  else {
    const rest = new LocalBody(stream, body);
    if (!rest.send()) later(rest);
  }
  return status;
}

/**
 * Ends a response that had begun: by trailers that say why to gRPC callers, by a reset to others, who could otherwise take what came for the whole.
 */
export function sendAbort(stream: HttpStream, response: LocalResponse, grpc: boolean): void {
  if (grpc) stream.sendTrailers(trailersHead(trailersOfError(errorOf(response))), null);
  else stream.reset(INTERNAL_ERROR);
}

/** RFC 9113 section 7. */
const INTERNAL_ERROR = 2;

function sendGrpc(stream: HttpStream, response: LocalResponse, extra: readonly string[] | null): number {
  if (response.error === null && fieldOf(response.fields, "content-type")?.startsWith("application/grpc")) {
    // A fallback that was written for gRPC: its fields may already hold a status (trailers-only).
    if (fieldOf(response.fields, "grpc-status") !== undefined || response.body === null) {
      const ok = fieldOf(response.fields, "grpc-status") === undefined ? ["grpc-status", "0"] : [];
      stream.sendHead(responseHead(200, [...response.fields, ...ok]), extra, true);
      return 200;
    }
    stream.sendHead(responseHead(200, response.fields), extra, false);
    stream.sendData(response.body, 0, response.body.length, false);
    stream.sendTrailers(trailersHead(["grpc-status", "0"]), null);
    return 200;
  }
  const fields = ["content-type", "application/grpc", ...trailersOfError(errorOf(response))];
  if (response.error !== null) fields.push(...response.fields.filter(notContent(response.fields)));
  stream.sendHead(responseHead(200, fields), extra, true);
  return 200;
}

/** An error's response as policy shaped it: its own status and fields first (401 with www-authenticate), the problem document behind. */
function problemOf(
  error: WeftError,
  response: LocalResponse,
): { status: number; fields: string[]; body: Uint8Array | null } {
  const problem = problemResponse(error, response.status >= 400 ? response.status : undefined);
  const { status } = problem;
  if (response.body !== null) return { status, fields: [...response.fields], body: response.body };
  return {
    status,
    fields: [...problem.fields, ...response.fields.filter(notContent(response.fields))],
    body: problem.body,
  };
}

/** Of flat fields: neither name nor value of content-type and content-length, which go with a body that is not sent. */
function notContent(fields: readonly string[]): (part: string, index: number) => boolean {
  return (_part, index) => !fields[index - (index % 2)].startsWith("content-");
}

/** The error that a gRPC caller is told: the response's own, or what its HTTP status means. */
function errorOf(response: LocalResponse): WeftError {
  if (response.error !== null) return response.error;
  const code = response.status < 400 ? "unavailable" : codeOfHttpStatus(response.status);
  return new WeftError(code, `answered by policy with HTTP ${response.status}, which a gRPC caller cannot be given`, {
    reason: "LOCAL_RESPONSE",
  });
}
