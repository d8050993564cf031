import type { AttemptFailure } from "../call.ts";

/**
 * A field by which the sidecar of an application (weft's or Envoy's) says that it could not reach it: the call was not made. For its callers that is as if no connection
 * could be made: they make it elsewhere, and put the endpoint aside, whether or not the control plane is there to take it out.
 */
export const UNREACHED_FIELD = "x-weft-unreached";

/** `fields` of an answer that is an error. */
export function saysUnreached(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === UNREACHED_FIELD) return true;
  return false;
}

export const UNREACHED: AttemptFailure = Object.freeze({
  kind: "connect",
  unprocessed: true,
  message: "its sidecar cannot reach the application",
});
