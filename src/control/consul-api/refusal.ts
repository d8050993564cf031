import { WeftError } from "../../core/errors.ts";

/** What cannot be read, or is over a limit: 400. */
export function bad(message: string, field?: string): WeftError {
  return new WeftError("invalid_argument", field === undefined ? message : `${field}: ${message}`, {
    reason: "BAD_REQUEST",
    ...(field !== undefined && { place: { field } }),
  });
}

/** What Consul has and this does not: 501. `instead` says what to use. */
export function unsupported(field: string, instead: string): WeftError {
  return new WeftError("unimplemented", `${field} is not supported here: ${instead}`, {
    reason: "NOT_SUPPORTED",
    place: { field },
  });
}

/** What to throw for what is not there: status 404. */
export function unknown(message: string): WeftError {
  return new WeftError("not_found", message, { reason: "NOT_FOUND" });
}
