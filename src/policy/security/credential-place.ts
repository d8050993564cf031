import type { CallRequest } from "../call.ts";
import type { CredentialPlace } from "./authentication-resource.ts";

/** More than one credential where one belongs: a server behind might take another than the one that was checked. */
export const AMBIGUOUS = Symbol("more than one");

/** Reads a credential; null when there is none. */
export function readCredential(request: CallRequest, place: CredentialPlace): string | typeof AMBIGUOUS | null {
  if (place.header !== undefined) return fromHeader(request.fields, place.header, place.scheme ?? "");
  if (place.cookie !== undefined) return cookieOf(request.fields, place.cookie);
  return fromQuery(request.path, place.query ?? "");
}

/** The scheme's name is compared without case (RFC 9110 section 11.1). */
function fromHeader(fields: readonly string[], name: string, scheme: string): string | typeof AMBIGUOUS | null {
  let found: string | null = null;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== name) continue;
    if (found !== null) return AMBIGUOUS;
    found = fields[i + 1];
  }
  if (found === null || scheme === "") return found;
  if (found.length <= scheme.length || found.charCodeAt(scheme.length) !== SPACE) return null;
  if (found.slice(0, scheme.length).toLowerCase() !== scheme.toLowerCase()) return null;
  return found.slice(scheme.length + 1).trim();
}

/** A cookie's value; HTTP/2 may part the cookie field into several (RFC 9113 section 8.2.3). */
export function cookieOf(fields: readonly string[], name: string): string | typeof AMBIGUOUS | null {
  let found: string | null = null;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "cookie") continue;
    for (const pair of fields[i + 1].split(";")) {
      const equals = pair.indexOf("=");
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      if (found !== null) return AMBIGUOUS;
      found = pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, "$1");
    }
  }
  return found;
}

/** The cookie field without some cookies: null when nothing is left, undefined when they are not there. */
export function cookiesWithout(fields: readonly string[], out: (name: string) => boolean): string | null | undefined {
  const kept: string[] = [];
  let removed = false;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "cookie") continue;
    for (const pair of fields[i + 1].split(";")) {
      if (out(pair.split("=", 1)[0].trim())) removed = true;
      else if (pair.trim() !== "") kept.push(pair.trim());
    }
  }
  if (!removed) return undefined;
  return kept.length === 0 ? null : kept.join("; ");
}

function fromQuery(path: string, name: string): string | typeof AMBIGUOUS | null {
  const mark = path.indexOf("?");
  if (mark < 0) return null;
  const values = new URLSearchParams(path.slice(mark + 1)).getAll(name);
  return values.length === 0 ? null : values.length > 1 ? AMBIGUOUS : values[0];
}

/** "header authorization (Bearer)", for explanations. */
export function placeText({ header, scheme, cookie, query }: CredentialPlace): string {
  if (header !== undefined) return `header ${header}${scheme === undefined ? "" : ` (${scheme})`}`;
  return cookie !== undefined ? `cookie ${cookie}` : `query parameter ${query ?? ""}`;
}

const SPACE = 0x20;
