import { conditions, FIELD_NAME, POSITIVE } from "../resource/common-shapes.ts";
import { ConditionSet } from "../resource/conditions.ts";
import { durationMs } from "../resource/duration.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { ResetHeader, RetrySpec } from "../resource/resources.ts";
import { bool, list, number, object, oneOf } from "../resource/shape.ts";
import type { RetryBudgetSettings } from "./retry-budget.ts";

export interface RetrySettings {
  readonly attempts: number;
  readonly on: ConditionSet;
  readonly nonIdempotent: boolean;
  readonly baseMs: number;
  readonly maxMs: number;
  readonly jitter: number;
  readonly maxPushbackMs: number;
  readonly resetHeaders: readonly ResetHeader[];
  readonly budget: RetryBudgetSettings;
  readonly bufferBytes: number;
}

/** Retries beyond the first attempt that a policy can ask for. */
export const MAX_RETRIES = 10;

export const DEFAULT_RETRY = {
  attempts: 2,
  on: ["connect-failure", "refused", "reset", "overflow", "timeout", "gateway-error", "unavailable"],
  nonIdempotent: false,
  backoff: { base: "25ms", max: "250ms", jitter: 1, maxPushback: "5s", resetHeaders: [] as readonly ResetHeader[] },
  budget: { ratio: 0.2, minPerSecond: 10, ttl: "10s" },
  bufferBytes: 65_536,
} as const;

/** Every field counts for itself, inside `backoff` and `budget` too. */
export const retryField: PolicyField<RetrySpec, RetrySettings> = {
  check: object({
    attempts: number(0, MAX_RETRIES, true),
    on: conditions,
    nonIdempotent: bool,
    backoff: object({
      base: POSITIVE,
      max: POSITIVE,
      jitter: number(0, 1, false),
      maxPushback: POSITIVE,
      resetHeaders: list(
        object({ name: FIELD_NAME, format: oneOf(["seconds", "unix-timestamp"]) }, ["name", "format"]),
        0,
        8,
      ),
    }),
    budget: object({ ratio: number(0, 1, false), minPerSecond: number(0, 100_000, false), ttl: POSITIVE }),
    bufferBytes: number(0, 67_108_864, true),
  }),
  over(under, spec) {
    const { backoff, budget, ...rest } = spec;
    return {
      ...under,
      ...defined(rest),
      backoff: { ...under?.backoff, ...defined(backoff ?? {}) },
      budget: { ...under?.budget, ...defined(budget ?? {}) },
    };
  },
  compile(spec) {
    const retry = { ...DEFAULT_RETRY, ...spec };
    const backoff = { ...DEFAULT_RETRY.backoff, ...spec?.backoff };
    const budget = { ...DEFAULT_RETRY.budget, ...spec?.budget };
    return {
      attempts: Math.min(retry.attempts, MAX_RETRIES),
      on: new ConditionSet(retry.on),
      nonIdempotent: retry.nonIdempotent,
      baseMs: durationMs(backoff.base),
      maxMs: durationMs(backoff.max),
      jitter: backoff.jitter,
      maxPushbackMs: durationMs(backoff.maxPushback),
      resetHeaders: backoff.resetHeaders.map(({ name, format }) => ({ name: name.toLowerCase(), format })),
      budget: { ratio: budget.ratio, minPerSecond: budget.minPerSecond, ttlMs: durationMs(budget.ttl) },
      bufferBytes: retry.bufferBytes,
    };
  },
};
