import { fieldOf } from "../../core/fields.ts";
import { LOAD_REPORT_FIELD } from "../balance/load-report.ts";
import type { CacheDirectives } from "./cache-control.ts";
import { CACHEABLE_BY_DEFAULT } from "./freshness.ts";

/**
 * Why a response may not be stored; "" when it may. `shared`: its request was somebody's (Authorization, or an authenticated user). `hasCookie`: it may have
 * been somebody's, so that only what the service says counts, and nothing is guessed.
 */
export function whyNotStored(
  status: number,
  directives: CacheDirectives,
  fields: readonly string[],
  shared: boolean,
  hasDefaultTtl: boolean,
  hasCookie: boolean,
): string {
  const { noStore, isPrivate, isPublic, mustRevalidate, mustUnderstand, sMaxAge, maxAge, targeted } = directives;
  if (status < 200 || status === 206 || status === 304) return `status ${status}`;
  // RFC 9111 section 5.2.2.3: who understands the status ignores no-store beside must-understand; who does not must not store.
  if (mustUnderstand && !UNDERSTOOD.has(status)) return "must-understand";
  if (noStore && !mustUnderstand) return "no-store";
  if (isPrivate) return "private";
  if (shared && !isPublic && !mustRevalidate && sMaxAge < 0) return "authorization"; // section 3.5
  const explicit = isPublic || sMaxAge >= 0 || maxAge >= 0 || (!targeted && fieldOf(fields, "expires") !== undefined);
  if (!explicit && !CACHEABLE_BY_DEFAULT.has(status)) return `status ${status}`;
  if (!explicit && hasCookie) return "cookie";
  // Section 7.3: one caller's cookies are handed to others only when the service says that the response is for all.
  if (!isPublic && sMaxAge < 0 && fieldOf(fields, "set-cookie") !== undefined) return "set-cookie";
  if (varyNames(fields).includes("*")) return "vary *";
  const validator = fieldOf(fields, "etag") !== undefined || fieldOf(fields, "last-modified") !== undefined;
  if (!explicit && !validator && !hasDefaultTtl) return "no freshness";
  return "";
}

/** The fields of a stored response: without those that belong to one connection, one request or one hop, and those that may not be stored (section 3.1). */
export function storedFields(fields: readonly string[], { fieldsOut }: CacheDirectives): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    if (!NOT_STORED.has(name) && !fieldsOut.includes(name)) kept.push(name, fields[i + 1]);
  }
  return kept;
}

/** Names of request fields that a response was chosen by, lower case, at most 16. More than that is as good as "*". */
export function varyNames(fields: readonly string[]): string[] {
  const names = new Set<string>();
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "vary") continue;
    for (const name of fields[i + 1].split(",")) if (name.trim() !== "") names.add(name.trim().toLowerCase());
  }
  return names.size > MAX_VARY ? ["*"] : [...names].sort();
}

/** RFC 5861 section 4. */
export function isServerError(status: number): boolean {
  return status === 500 || (status >= 502 && status <= 504);
}

const NOT_STORED: ReadonlySet<string> = new Set([
  "age",
  "content-length",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "trailer",
  "x-request-id",
  LOAD_REPORT_FIELD,
]);
/** Statuses whose caching rules are implemented here: all of RFC 9110's final ones but those of partial and conditional answers. */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410,
  411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 500, 501, 502, 503, 504, 505,
]);
const MAX_VARY = 16;
