import { fieldOf } from "../../core/fields.ts";
import type { CallState } from "../machine/call-state.ts";
import { claimOf } from "../machine/principal.ts";
import { sentBy } from "../machine/request-values.ts";
import type { AdmissionSettings, PrioritySpec } from "./admission-field.ts";

/** Said by a hop of weft's to the next: what it found the call's priority to be. Believed from authenticated peers only. */
export const PRIORITY_FIELD = "x-weft-priority";

/** The priority of a call: by the first rule that matches, what an authenticated peer says, or the policy's. */
export function priorityOf(call: CallState, { priorities, priority }: AdmissionSettings): number {
  for (const rule of priorities) if (matches(call, rule)) return rule.priority;
  const { caller } = call;
  if (caller.peerIdentity !== "") {
    const said = fieldOf(sentBy(call).fields, PRIORITY_FIELD);
    if (said !== undefined && /^(?:\d|10)$/.test(said)) return Number(said);
  }
  return priority;
}

function matches(call: CallState, { header, claim, identity, method }: PrioritySpec): boolean {
  const request = sentBy(call);
  if (method !== undefined && request.method !== method) return false;
  if (identity !== undefined && call.caller.peerIdentity !== identity) return false;
  if (header !== undefined) {
    const value = fieldOf(request.fields, header.name.toLowerCase());
    if (value === undefined || (header.value !== undefined && value !== header.value)) return false;
  }
  if (claim !== undefined) {
    const value = claimOf(call.principal.claims, claim.name);
    if (value === undefined || (claim.value !== undefined && !isOrHas(value, claim.value))) return false;
  }
  return true;
}

function isOrHas(value: unknown, wanted: string): boolean {
  return Array.isArray(value) ? value.includes(wanted) : typeof value !== "object" && String(value) === wanted;
}
