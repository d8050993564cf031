import { WeftError } from "../core/errors.ts";

/** A registration of which nobody knows whether it was carried out and replaced since: to make it again could undo what came later. */
export function outcomeUnknown(id: string): WeftError {
  const text = `it is not known whether "${id}" was registered and replaced, or not; look at what is there, and register again`;
  return new WeftError("aborted", text, { reason: "OUTCOME_UNKNOWN" });
}
