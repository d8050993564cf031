import type { WeftError } from "../core/errors.ts";
import type { HttpBody } from "./gen/google/api/httpbody.ts";
import { type HttpBinding, isHttpBody } from "./http-rule.ts";
import { problemOf } from "./problem.ts";
import type { Message } from "./runtime.ts";
import { messageToResponse } from "./transcode.ts";

/** Writes the messages of a server-streaming method as one HTTP response body. */
export interface StreamEncoder {
  /** The response's content-type; known before the first message, except that google.api.HttpBody says its own. */
  contentType(first: Message | null): string;
  message(message: Message): Uint8Array;
  /** What ends the body when the method failed after its head was sent. */
  error(error: WeftError): Uint8Array;
  /** Sent while nothing else is, so that intermediaries keep the response open; null where the format has no such thing. */
  readonly keepAlive: Uint8Array | null;
}

/**
 * The encoder that the caller asked for: server-sent events when `accept` names text/event-stream (each message an event, a failure
 * the event "error" with a problem document), the bytes as they are for google.api.HttpBody, otherwise a line of JSON a message
 * (a failure is the line {"error": problem}).
 */
export function streamEncoder(binding: HttpBinding, accept: string): StreamEncoder {
  const json = (message: Message) => messageToResponse(binding, message).body;
  if (isHttpBody(binding.responseBody?.message ?? binding.method.output)) {
    return {
      contentType: (first) => (first === null ? "" : (first as HttpBody).contentType),
      message: json,
      error: () => new Uint8Array(),
      keepAlive: null,
    };
  }
  if (wantsEvents(accept)) {
    return {
      contentType: () => "text/event-stream",
      message: (message) => Buffer.concat([DATA, json(message), BLANK_LINE]),
      error: (error) => Buffer.from(`event: error\ndata: ${JSON.stringify(problemOf(error))}\n\n`),
      keepAlive: Buffer.from(":\n\n"),
    };
  }
  return {
    contentType: () => "application/x-ndjson",
    message: (message) => Buffer.concat([json(message), NEW_LINE]),
    error: (error) => Buffer.from(`${JSON.stringify({ error: problemOf(error) })}\n`),
    keepAlive: null,
  };
}

const DATA = Buffer.from("data: ");
const BLANK_LINE = Buffer.from("\n\n");
const NEW_LINE = Buffer.from("\n");

/** Whether an Accept field names text/event-stream and does not refuse it. */
function wantsEvents(accept: string): boolean {
  return accept
    .toLowerCase()
    .split(",")
    .some((range) => {
      const [type, ...params] = range.split(";").map((part) => part.trim());
      return type === "text/event-stream" && !params.some((param) => /^q=0(\.0*)?$/.test(param));
    });
}
