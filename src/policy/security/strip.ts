import type { CallState } from "../machine/call-state.ts";
import type { CredentialPlace } from "./authentication-resource.ts";
import { cookiesWithout } from "./credential-place.ts";

/** Takes a credential out of what is sent on. Not from the query: validation refuses that. */
export function stripCredential(call: CallState, place: CredentialPlace): void {
  if (place.header !== undefined) call.removeRequestField(place.header);
  else if (place.cookie !== undefined) stripCookies(call, (name) => name === place.cookie);
}

/**
 * Takes fields of these names (lower-case) out of what is sent on, also where they are written with "_": many servers take x_user and x-user for the same.
 */
export function stripFields(call: CallState, names: Iterable<string>): void {
  const all = new Set(names);
  for (const name of all) call.removeRequestField(name);
  const { fields } = call.request;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    if (name.includes("_") && !all.has(name) && all.has(name.replaceAll("_", "-"))) call.removeRequestField(name);
  }
}

export function stripCookies(call: CallState, out: (name: string) => boolean): void {
  const kept = cookiesWithout(call.request.fields, out);
  if (kept === undefined) return;
  call.removeRequestField("cookie");
  if (kept !== null) call.addRequestField("cookie", kept);
}
