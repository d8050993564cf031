import { type Code, codeNumber, type ErrorDetail, WeftError } from "../core/errors.ts";
import { reasonPhrase } from "../core/reason-phrase.ts";
import { BAD_REQUEST, decodeBadRequest, decodeRetryDelay, encodeBadRequest, RETRY_INFO } from "./error-details.ts";
import { codeOfRestStatus, errorFromDetails, httpStatusOf, isFieldValue, travellingDetails } from "./status.ts";

/** An error as a REST caller gets it: application/problem+json (RFC 9457) with weft's members. */
export interface Problem {
  /** "about:blank": `title` is the status's own; the cause is in `code` and `reason`. */
  type: string;
  title: string;
  status: number;
  /** The error's message. */
  detail: string;
  /** gRPC's code: "not_found". */
  code: Code;
  /** Machine-readable cause: "NO_SUCH_ORDER". */
  reason: string;
  /** True when the same request may be sent again without having had an effect. */
  retryable?: boolean;
  /** The fields that are wrong. */
  violations?: { field: string; description: string }[];
}

/** An HTTP response: `fields` are flat and lower-case, content-type among them. */
export interface ErrorResponse {
  status: number;
  fields: string[];
  body: Uint8Array;
}

/** The members of a problem document; `status` is the error's own unless policy gave the answer another. */
export function problemOf(error: WeftError, status = httpStatusOf(error)): Problem {
  const problem: Problem = {
    type: "about:blank",
    title: reasonPhrase(status),
    status,
    detail: error.message,
    code: error.code,
    reason: error.reason,
  };
  if (error.retryable) problem.retryable = true;
  const violations: { field: string; description: string }[] = [];
  for (const detail of travellingDetails(error)) {
    if (detail.type !== BAD_REQUEST) continue;
    for (const { field, description } of decodeBadRequest(detail.value) ?? []) violations.push({ field, description });
  }
  if (violations.length > 0) problem.violations = violations;
  return problem;
}

/** The whole response, with retry-after where a google.rpc.RetryInfo says when, and the error's own metadata that is text. */
export function problemResponse(error: WeftError, status?: number): ErrorResponse {
  const problem = problemOf(error, status);
  const fields = ["content-type", "application/problem+json"];
  for (const detail of error.details) {
    const delay = detail.type === RETRY_INFO ? decodeRetryDelay(detail.value) : undefined;
    if (delay !== undefined) fields.push("retry-after", String(delay));
  }
  for (const [name, value] of error.metadata)
    if (!name.endsWith("-bin") && isFieldValue(value) && !fields.includes(name)) fields.push(name, value);
  return { status: problem.status, fields, body: Buffer.from(JSON.stringify(problem)) };
}

/** The error that a REST answer tells of. Anything that is not a problem document gets its code from the status. */
export function errorFromProblem(status: number, body: Uint8Array): WeftError {
  let problem: Partial<Problem> = {};
  try {
    const parsed: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString("utf8"));
    if (typeof parsed === "object" && parsed !== null) problem = parsed;
  } catch {
    // not JSON: the status has to do
  }
  const code = isCode(problem.code) ? problem.code : codeOfRestStatus(status);
  const detail =
    typeof problem.detail === "string" ? problem.detail : `the server answered ${status} ${reasonPhrase(status)}`;
  const details: ErrorDetail[] = [];
  if (Array.isArray(problem.violations)) {
    const fieldViolations = problem.violations
      .filter((entry) => typeof entry?.field === "string" && typeof entry.description === "string")
      .map(({ field, description }) => ({ field, description }));
    details.push({ type: BAD_REQUEST, value: encodeBadRequest(fieldViolations) });
  }
  const plain = errorFromDetails(code, detail, details);
  const reason = typeof problem.reason === "string" ? problem.reason : plain.reason;
  return new WeftError(code, detail, { reason, retryable: problem.retryable === true, details: plain.details });
}

function isCode(code: unknown): code is Code {
  return typeof code === "string" && codeNumber(code as Code) !== undefined && code !== "ok";
}
