/**
 * "800ms", "1.5s", "2m", "1h30m" to milliseconds; undefined when it is not a duration.
 * Gateway API's format (GEP-2257), with fractions allowed as in Go's time.ParseDuration.
 */
export function parseDuration(text: string): number | undefined {
  if (text.length === 0 || text.length > 32 || !DURATION_PATTERN.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(PART)) totalMs += Number(amount) * (UNIT_MS[unit] as number);
  return totalMs <= MAX_MS ? totalMs : undefined;
}

/** The shortest way to write it: 1500 is "1500ms", 2000 is "2s". */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms % 60_000 === 0) return `${ms / 60_000}m`;
  if (ms % 1000 === 0) return `${ms / 1000}s`;
  return `${ms}ms`;
}

/** For people, in three figures: "4.1 ms", "812 ms", "1.25 s", "2 s", "42.5 s". */
export function ms(value: number): string {
  if (value >= 10_000) return `${Math.round(value / 100) / 10} s`;
  if (value >= 1_000) return `${Math.round(value / 10) / 100} s`;
  return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} ms`;
}

/** A year: longer is a mistake. */
const MAX_MS = 366 * 24 * 3_600_000;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
/** How a duration is written. */
export const DURATION_PATTERN = /^(?:\d{1,9}(?:\.\d{1,6})?(?:ms|h|m|s))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|h|m|s)/g;

/** Of a duration that has been checked; 0 of what is none. */
export function durationMs(text: string): number {
  return parseDuration(text) ?? 0;
}

/** The same where "0s" is no limit. */
export function limitMs(text: string): number {
  return durationMs(text) || Number.POSITIVE_INFINITY;
}
