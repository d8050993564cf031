import type { RateLimitAlgorithm } from "./rate-limit-spec.ts";

/** What a query of kind "shared-limit" asks (its `about`): may a call pass a limit that the whole system shares? */
export interface SharedLimitRequest {
  /** The RateLimit's name. */
  readonly name: string;
  /** What shares a count; "" when all calls do. At most 256 characters a part, no control character but U+0001 between parts, never a secret. */
  readonly key: string;
  readonly algorithm: Exclude<RateLimitAlgorithm, "concurrency">;
  readonly requests: number;
  readonly perMs: number;
  /** Not for "sliding-window". */
  readonly burst: number;
  readonly cost: number;
}

/** Its answer. Null in its place (not answered, not in time): the process keeps to its own share. */
export interface SharedLimitAnswer {
  readonly allowed: boolean;
  /** Refused: ms until it might pass. */
  readonly waitMs: number;
  /** Whole requests that are left, as far as the one who answers knows. */
  readonly left: number;
}

/** Who keeps the limits of a whole system: a store that every process asks (Redis), or leases in the process itself (leased-limits.ts). */
export interface SharedLimits {
  /** Calls `answer` once: before it returns when nobody has to be asked, later otherwise; null when it cannot be had. */
  take(request: SharedLimitRequest, answer: (answer: SharedLimitAnswer | null) => void): void;
}

/** An answer from outside, or null for what is none. */
export function parseSharedAnswer(result: unknown): SharedLimitAnswer | null {
  if (typeof result !== "object" || result === null) return null;
  const { allowed, waitMs, left } = result as Record<string, unknown>;
  if (typeof allowed !== "boolean") return null;
  return { allowed, waitMs: countOf(waitMs, MAX_WAIT_MS), left: Math.floor(countOf(left, MAX_LEFT)) };
}

/** A number of what is counted: 0 for anything else, and no more than can be said in a header field. */
function countOf(value: unknown, most: number): number {
  return typeof value === "number" && value >= 0 ? Math.min(value, most) : 0;
}

/** About 115 days. */
const MAX_WAIT_MS = 1e10;
const MAX_LEFT = 1e12;

/** The bucket or window that a request is about: equal for requests that count together. */
export function sharedLimitId({ name, key, algorithm, requests, perMs, burst }: SharedLimitRequest): string {
  return `${name}/${algorithm}/${requests}/${perMs}/${burst}/${key}`;
}
