import { type Code, codeNumber, codeOf, type ErrorDetail, WeftError } from "../core/errors.ts";
import { httpStatusOfGrpc } from "../core/grpc-status.ts";
import {
  BAD_REQUEST,
  decodeErrorInfo,
  decodeStatus,
  ERROR_INFO,
  encodeBadRequest,
  encodeErrorInfo,
  encodeStatus,
} from "./error-details.ts";
import { decodePercent, encodeGrpcMessage } from "./percent.ts";

/**
 * Errors as gRPC carries them: `grpc-status`, `grpc-message` and `grpc-status-details-bin` in the trailers (or in a trailers-only head).
 * A WeftError's reason and whether it may be retried travel as a google.rpc.ErrorInfo of domain "weft".
 * Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md, "Responses") and the richer error model of google.rpc.Status.
 */

/** The trailer fields of a failed call, flat, with the error's own metadata behind them. */
export function trailersOfError(error: WeftError): string[] {
  const fields = ["grpc-status", String(codeNumber(error.code))];
  const message =
    error.message.length <= MAX_MESSAGE_LENGTH ? error.message : `${error.message.slice(0, MAX_MESSAGE_LENGTH - 1)}…`;
  if (message !== "") fields.push("grpc-message", encodeGrpcMessage(message));
  const details = travellingDetails(error);
  if (details.length > 0) {
    const packed = details.map(({ type, value }) => ({ typeUrl: `type.googleapis.com/${type}`, value }));
    const status = encodeStatus({
      code: codeNumber(error.code),
      message: error.message,
      details: packed,
    });
    // A peer that limits header sizes loses the call when details outgrow it; the status alone then says enough.
    if (status.length <= MAX_DETAILS_BYTES) fields.push("grpc-status-details-bin", base64(status));
  }
  for (const [name, value] of error.metadata) if (!isReserved(name) && isFieldValue(value)) fields.push(name, value);
  return fields;
}

/** Whether a text may stand in a header field: printable ASCII, so that nothing can end the field early. */
export function isFieldValue(value: string): boolean {
  return /^[\x20-\x7e]*$/.test(value);
}

/**
 * The error that trailer fields tell of; null when they say OK. Fields without a grpc-status are an error of their own.
 * What the peer sent is not trusted to be well-formed: details that do not decode are left out.
 */
export function errorFromTrailers(fields: readonly string[]): WeftError | null {
  let status: string | undefined;
  let message = "";
  let detailsBin = "";
  const metadata: (readonly [string, string])[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    const value = fields[i + 1];
    if (name === "grpc-status") status = value;
    else if (name === "grpc-message") message = decodePercent(value);
    else if (name === "grpc-status-details-bin") detailsBin = value;
    else if (!isReserved(name)) metadata.push([name, value]);
  }
  if (status === "0") return null;
  if (status === undefined)
    return new WeftError("unknown", "the server ended the call without a grpc-status", {
      reason: "NO_GRPC_STATUS",
      metadata,
    });
  const code = /^\d{1,9}$/.test(status) ? codeOf(Number(status)) : "unknown";
  const details = detailsBin === "" ? [] : unpackDetails(detailsBin);
  return errorFromDetails(code, message, details, metadata);
}

/** HTTP status of a code. Source: google/rpc/code.proto. Some reasons have a status of their own (405, 413, 415 and the like). */
export function httpStatusOf(error: { code: Code; reason?: string }): number {
  return STATUS_OF_REASON.get(error.reason ?? "") ?? httpStatusOfGrpc(codeNumber(error.code));
}

/** The code of a response that is not gRPC at all, to a gRPC caller. Source: gRPC's http-grpc-status-mapping.md. */
export function codeOfHttpStatus(status: number): Code {
  if (status === 400) return "internal";
  if (status === 401) return "unauthenticated";
  if (status === 403) return "permission_denied";
  if (status === 404) return "unimplemented";
  if (status === 429 || status === 502 || status === 503 || status === 504) return "unavailable";
  return "unknown";
}

/** The code of a REST answer without a `code` of its own: the inverse of httpStatusOf, as far as there is one. */
export function codeOfRestStatus(status: number): Code {
  const code = CODE_OF_STATUS.get(status);
  if (code !== undefined) return code;
  if (status >= 400 && status < 500) return "failed_precondition";
  return status >= 500 && status < 600 ? "internal" : "unknown";
}

/** An error made anew from what travelled: reason and retryable from weft's ErrorInfo, or the reason from anyone's. */
export function errorFromDetails(
  code: Code,
  message: string,
  details: readonly ErrorDetail[],
  metadata: ReadonlyArray<readonly [string, string]> = [],
): WeftError {
  let reason: string | undefined;
  let retryable = false;
  const rest: ErrorDetail[] = [];
  for (const detail of details) {
    const info = detail.type === ERROR_INFO ? decodeErrorInfo(detail.value) : null;
    if (info?.domain === DOMAIN) {
      reason = info.reason;
      retryable = info.metadata.retryable === "true";
      continue;
    }
    reason ??= info?.reason;
    rest.push(detail);
  }
  return new WeftError(code, message, { ...(reason ? { reason } : {}), retryable, details: rest, metadata });
}

/** The details of an error with those that its other fields imply: ErrorInfo for reason and retryable, BadRequest for a field. */
export function travellingDetails(error: WeftError): ErrorDetail[] {
  const details = [...error.details];
  const field = error.place?.field;
  if (field !== undefined && error.code === "invalid_argument" && !details.some(({ type }) => type === BAD_REQUEST)) {
    const description = error.message.startsWith(`${field}: `) ? error.message.slice(field.length + 2) : error.message;
    const value = encodeBadRequest([{ field, description, reason: error.reason }]);
    details.push({ type: BAD_REQUEST, value });
  }
  if (error.reason !== error.code.toUpperCase() || error.retryable) {
    const metadata: Record<string, string> = error.retryable ? { retryable: "true" } : {};
    const value = encodeErrorInfo({ reason: error.reason, domain: DOMAIN, metadata });
    details.unshift({ type: ERROR_INFO, value });
  }
  return details;
}

const DOMAIN = "weft";
const MAX_DETAILS_BYTES = 6 * 1024;
const MAX_MESSAGE_LENGTH = 2048;

function unpackDetails(text: string): ErrorDetail[] {
  const status = decodeStatus(Buffer.from(text, "base64"));
  return (status?.details ?? []).map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
}

/** gRPC: senders should leave the padding out. */
function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64").replace(/=+$/, "");
}

/** Fields that belong to the protocol and are not an application's metadata. */
function isReserved(name: string): boolean {
  return name.startsWith("grpc-") || name.startsWith(":") || RESERVED.has(name);
}

const RESERVED = new Set([
  "content-type",
  "content-length",
  "te",
  "trailer",
  "date",
  "server",
  "user-agent",
  "connection",
  "transfer-encoding",
]);

const STATUS_OF_REASON: ReadonlyMap<string, number> = new Map([
  ["METHOD_NOT_ALLOWED", 405],
  ["NOT_ACCEPTABLE", 406],
  ["REQUEST_TIMEOUT", 408],
  ["LENGTH_REQUIRED", 411],
  ["PRECONDITION_NOT_MET", 412],
  ["MESSAGE_TOO_LARGE", 413],
  ["URI_TOO_LONG", 414],
  ["UNSUPPORTED_MEDIA_TYPE", 415],
  ["BAD_GATEWAY", 502],
]);

const CODE_OF_STATUS: ReadonlyMap<number, Code> = new Map([
  [400, "invalid_argument"],
  [401, "unauthenticated"],
  [403, "permission_denied"],
  [404, "not_found"],
  [408, "deadline_exceeded"],
  [409, "aborted"],
  [412, "failed_precondition"],
  [413, "resource_exhausted"],
  [415, "invalid_argument"],
  [429, "resource_exhausted"],
  [499, "cancelled"],
  [500, "internal"],
  [501, "unimplemented"],
  [502, "unavailable"],
  [503, "unavailable"],
  [504, "deadline_exceeded"],
]);
