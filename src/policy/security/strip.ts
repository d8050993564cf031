import type { CallState } from "../machine/call-state.ts";
import type { CredentialPlace } from "./authentication-resource.ts";
import { cookiesWithout } from "./credential-place.ts";

/** Takes a credential out of what is sent on. Not from the query: validation refuses that. */
export function stripCredential(call: CallState, place: CredentialPlace): void {
  if (place.header !== undefined) call.removeRequestField(place.header);
  else if (place.cookie !== undefined) stripCookies(call, (name) => name === place.cookie);
}

export function stripCookies(call: CallState, out: (name: string) => boolean): void {
  const kept = cookiesWithout(call.request.fields, out);
  if (kept === undefined) return;
  call.removeRequestField("cookie");
  if (kept !== null) call.addRequestField("cookie", kept);
}
