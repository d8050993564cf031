import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { fromJson } from "@bufbuild/protobuf";
import { codeOfHttpStatus, errorFromTrailers } from "../contract/status.ts";
import type { Codec } from "../contract/types.ts";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import type { LocalResponse } from "../policy/call.ts";
import type { Head } from "../wire/head.ts";
import { isGrpcContentType } from "./upstream-head.ts";

/** How gRPC responses become messages and errors, for every kind of client call. */

/** Why a response's head is no gRPC answer; null when it is one. Source: gRPC's http-grpc-status-mapping.md. */
export function checkResponseHead(head: Head, path: string): WeftError | null {
  const type = fieldOf(head.fields, "content-type");
  if (head.status === 200 && type !== undefined && isGrpcContentType(type)) return null;
  if (fieldOf(head.fields, "grpc-status") !== undefined) return null; // says it all, whatever the rest
  const what = type === undefined ? "no content-type" : `content-type ${type}`;
  const code = head.status === 200 ? "unknown" : codeOfHttpStatus(head.status);
  return new WeftError(code, `${path}: answered with HTTP ${head.status} and ${what}, which is not gRPC`, {
    reason: "NOT_GRPC",
  });
}

/** The error that trailers tell of, null for OK. Trailers are nearly always the same object, and OK: that is remembered on the head. */
export function statusOf(trailers: Head): WeftError | null {
  if (trailers.derived === OK) return null;
  const error = errorFromTrailers(trailers.fields);
  if (error === null) trailers.derived = OK;
  return error;
}

const OK = Symbol("grpc-status 0");

/** Inflates a compressed message. Throws when it is not what grpc-encoding says, or would be larger than `maxBytes`. */
export function decompress(
  head: Head | null,
  bytes: Uint8Array,
  start: number,
  end: number,
  maxBytes: number,
): Uint8Array {
  const encoding = head === null ? undefined : fieldOf(head.fields, "grpc-encoding");
  if (encoding !== "gzip") {
    throw new WeftError("internal", `a message is compressed, but grpc-encoding is ${encoding ?? "not set"}`, {
      reason: "BAD_ENCODING",
    });
  }
  try {
    // Loaded with the first answer that is compressed.
    return process.getBuiltinModule("node:zlib").gunzipSync(bytes.subarray(start, end), { maxOutputLength: maxBytes });
  } catch (cause) {
    const tooLarge = cause instanceof RangeError;
    throw new WeftError(
      tooLarge ? "resource_exhausted" : "internal",
      tooLarge
        ? `a message inflates to more than ${maxBytes} bytes; raise maxMessageBytes or send less`
        : "a message is not valid gzip",
      { reason: tooLarge ? "MESSAGE_TOO_LARGE" : "BAD_ENCODING", cause },
    );
  }
}

/** A fallback of policy's as a message: its body is the message's JSON, or the message in gRPC's frame. Throws `unavailable` when it is not. */
export function messageOfFallback<O extends DescMessage>(
  response: LocalResponse,
  output: Codec<O>,
  path: string,
): MessageShape<O> {
  try {
    const type = fieldOf(response.fields, "content-type");
    if (response.body !== null && type !== undefined && isGrpcContentType(type))
      return output.decode(response.body, FRAME_BYTES, response.body.length);
    const text =
      response.body === null || response.body.length === 0 ? "{}" : Buffer.from(response.body).toString("utf8");
    return fromJson(output.desc, JSON.parse(text), { ignoreUnknownFields: true });
  } catch (cause) {
    const message = `${path}: policy answered with HTTP ${response.status}, whose body is no ${output.desc.typeName}`;
    throw new WeftError("unavailable", message, { reason: "BAD_FALLBACK", cause });
  }
}

/** What stands before a message: compressed or not, and its length. */
const FRAME_BYTES = 5;

/** Why a call was cancelled by its signal: a WeftError stays, a TimeoutError is a deadline. */
export function abortError(signal: AbortSignal, path: string): WeftError {
  const cause: unknown = signal.reason;
  if (cause instanceof WeftError) return cause;
  if (cause instanceof Error && cause.name === "TimeoutError") {
    return new WeftError("deadline_exceeded", `${path}: the caller's timeout passed`, { reason: "TIMEOUT", cause });
  }
  return new WeftError("cancelled", `${path}: cancelled by the caller`, { reason: "CANCELLED_BY_CALLER", cause });
}
