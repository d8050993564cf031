import { fieldOf } from "../../core/fields.ts";
import { type CacheDirectives, MAX_SECONDS } from "./cache-control.ts";
import { parseHttpDate } from "./http-date.ts";

/** How old a response was when it came, and how long it stays fresh, in ms. */
export interface Freshness {
  readonly initialAgeMs: number;
  readonly lifetimeMs: number;
  /** Epoch ms: its Date, or when it came if it has none. */
  readonly dateMs: number;
}

/**
 * RFC 9111 sections 4.2.1 to 4.2.3. Lifetime, in this order: s-maxage, max-age, Expires - Date, the policy's default, and a tenth of what has passed since
 * Last-Modified, where the status is cacheable by default or the response is public.
 * @param requestedAt when the attempt was sent, on the clock of `receivedAt`; @param wallAt epoch ms of 0 on it
 */
export function freshnessOf(
  status: number,
  directives: CacheDirectives,
  fields: readonly string[],
  requestedAt: number,
  receivedAt: number,
  wallAt: number,
  defaultTtlMs: number,
): Freshness {
  const receivedWall = wallAt + receivedAt;
  const date = fieldOf(fields, "date");
  const dateMs = (date === undefined ? undefined : parseHttpDate(date, receivedWall)) ?? receivedWall;
  const apparentAgeMs = Math.max(0, receivedWall - dateMs);
  const correctedAgeMs = ageOf(fields) * 1000 + Math.max(0, receivedAt - requestedAt);
  return {
    initialAgeMs: Math.max(apparentAgeMs, correctedAgeMs),
    lifetimeMs: lifetimeOf(status, directives, fields, dateMs, receivedWall, defaultTtlMs),
    dateMs,
  };
}

function lifetimeOf(
  status: number,
  { sMaxAge, maxAge, isPublic, targeted }: CacheDirectives,
  fields: readonly string[],
  dateMs: number,
  now: number,
  defaultTtlMs: number,
): number {
  if (sMaxAge >= 0) return sMaxAge * 1000;
  if (maxAge >= 0) return maxAge * 1000;
  const expires = targeted ? undefined : fieldOf(fields, "expires");
  if (expires !== undefined) {
    const at = parseHttpDate(expires, now);
    return at === undefined ? 0 : Math.max(0, at - dateMs); // invalid: in the past (section 5.3)
  }
  if (!isPublic && !CACHEABLE_BY_DEFAULT.has(status)) return 0;
  if (defaultTtlMs > 0) return defaultTtlMs;
  const modified = fieldOf(fields, "last-modified");
  const at = modified === undefined ? undefined : parseHttpDate(modified, now);
  return at === undefined ? 0 : Math.min(Math.max(0, (dateMs - at) * HEURISTIC_FRACTION), MAX_HEURISTIC_MS);
}

/** The Age field in seconds: its first member; 0 when that is no number of seconds (section 5.1). */
function ageOf(fields: readonly string[]): number {
  const age = fieldOf(fields, "age");
  const first = age?.split(",", 1)[0].trim() ?? "";
  return /^\d+$/.test(first) ? Math.min(Number(first), MAX_SECONDS) : 0;
}

/** RFC 9110 section 15.1, without 206, which is never stored. */
export const CACHEABLE_BY_DEFAULT: ReadonlySet<number> = new Set([
  200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501,
]);
/** Section 4.2.2. */
const HEURISTIC_FRACTION = 0.1;
/** Nothing is guessed to be fresh for longer than a week. */
const MAX_HEURISTIC_MS = 7 * 86_400_000;
