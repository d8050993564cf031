import type { Random } from "../../core/random.ts";
import type { RetrySettings } from "./retry-field.ts";

/** Ms before the nth retry (from 1): doubles from base to max, of which the share `jitter` is random ("full jitter" at 1, Envoy and AWS). */
export function backoffMs({ baseMs, maxMs, jitter }: RetrySettings, retry: number, draw: number): number {
  const longest = Math.min(maxMs, baseMs * 2 ** (retry - 1));
  return longest * (1 - jitter * draw);
}

/** The server's own word on when to retry: ms to wait, -1 for not at all, undefined when it says nothing. */
export function pushbackMs(fields: readonly string[]): number | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === "grpc-retry-pushback-ms") {
      const value = fields[i + 1];
      return /^\d{1,9}$/.test(value) ? Number(value) : -1; // gRFC A6: what is not a number of ms means "do not retry"
    }
    // A date needs a clock that the machine does not have; a server that means a date means more than a retry waits for.
    if (fields[i] === "retry-after") return /^\d{1,6}$/.test(fields[i + 1]) ? Number(fields[i + 1]) * 1000 : -1;
  }
  return undefined;
}

/** One draw in [0, 1), for the record. */
export function drawJitter(settings: RetrySettings, random: Random): number {
  return settings.jitter > 0 ? random.next() : 0;
}
