import type { Random } from "../../core/random.ts";
import type { ResetHeader } from "../resource/resources.ts";
import type { RetrySettings } from "./retry-field.ts";

/** Ms before the nth retry (from 1): doubles from base to max, of which the share `jitter` is random ("full jitter" at 1, Envoy and AWS). */
export function backoffMs({ baseMs, maxMs, jitter }: RetrySettings, retry: number, draw: number): number {
  const longest = Math.min(maxMs, baseMs * 2 ** (retry - 1));
  return longest * (1 - jitter * draw);
}

/**
 * The server's own word on when to retry: ms to wait, -1 for not at all, undefined when it says nothing. gRPC's pushback first (gRFC A6), then the headers that
 * policy names (Envoy's reset_headers), then retry-after (RFC 9110 section 10.2.3), seconds or a date. `wallNow`: Unix ms, NaN when unknown.
 */
export function pushbackMs(
  fields: readonly string[],
  resetHeaders: readonly ResetHeader[] = [],
  wallNow = Number.NaN,
): number | undefined {
  let after: number | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    const value = fields[i + 1];
    // What is not a number of ms means "do not retry".
    if (name === "grpc-retry-pushback-ms") return /^\d{1,9}$/.test(value) ? Number(value) : -1;
    if (name === "retry-after") after ??= retryAfterMs(value, wallNow);
    for (const { name: wanted, format } of resetHeaders) {
      if (name !== wanted || !/^\d{1,12}$/.test(value)) continue;
      const ms = Number(value) * 1000;
      if (format === "seconds") return ms;
      if (!Number.isNaN(wallNow)) return Math.max(0, ms - wallNow);
    }
  }
  return after;
}

function retryAfterMs(value: string, wallNow: number): number {
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1000;
  const ms = IMF_FIXDATE.test(value) ? Date.parse(value) - wallNow : Number.NaN;
  // Who names a date that cannot be understood means longer than a retry waits.
  return Number.isNaN(ms) ? -1 : Math.max(0, ms);
}

/** RFC 9110 section 5.6.7. */
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** One draw in [0, 1), for the record. */
export function drawJitter(settings: RetrySettings, random: Random): number {
  return settings.jitter > 0 ? random.next() : 0;
}
