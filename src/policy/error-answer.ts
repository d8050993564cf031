import { type Code, WeftError } from "../core/errors.ts";
import type { LocalResponse } from "./call.ts";

/** An answer that is an error. `message` says what a caller may know. */
export function errorAnswer(
  code: Code,
  status: number,
  reason: string,
  message: string,
  retryable = false,
  fields: readonly string[] = NO_FIELDS,
): LocalResponse {
  // Where in the machine it was made says nothing, and the trace would cost most of what refusing a call costs (12 of 13 us).
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new WeftError(code, message, { reason, retryable });
  Error.stackTraceLimit = limit;
  return { error, status, fields, body: null };
}

const NO_FIELDS: readonly string[] = [];
