import type { BalancerSettings } from "../balance/balancer.ts";
import type { BreakerSettings } from "../resilience/breaker.ts";
import type { RetryBudgetSettings } from "../resilience/retry-budget.ts";
import { ConditionSet } from "../resource/conditions.ts";
import { parseDuration } from "../resource/duration.ts";
import type { BalancerKind, FallbackSpec, RetrySpec, TrafficPolicySpec } from "../resource/resources.ts";

/** What holds for a call: every field has a value and the name of what it came from. Frozen, shared by all calls it holds for. */
export interface EffectivePolicy {
  /** The whole call, ms; Infinity for unlimited. */
  readonly timeoutMs: number;
  /** One attempt, ms; Infinity for unlimited. */
  readonly perTryTimeoutMs: number;
  /** Who set the time-out. What is set for a service, the gateway or the system does not cut off streams; see snapshot.ts, `TimeoutForm`. */
  readonly timeoutLevel: Level;
  readonly retry: RetrySettings;
  readonly breaker: BreakerSettings | null;
  readonly balancer: BalancerSettings;
  readonly maxInFlight: number;
  readonly maxInFlightPerEndpoint: number;
  readonly fallback: FallbackSettings | null;
  /** Which resource each field came from: { timeout: "TrafficPolicy payments" }. */
  readonly sources: Readonly<Record<string, string>>;
}

export interface RetrySettings {
  readonly attempts: number;
  readonly on: ConditionSet;
  readonly nonIdempotent: boolean;
  readonly baseMs: number;
  readonly maxMs: number;
  readonly jitter: number;
  readonly budget: RetryBudgetSettings;
  readonly bufferBytes: number;
}

export interface FallbackSettings {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: Uint8Array;
  readonly on: ConditionSet;
}

/** From least to most specific. */
export const Level = { system: 0, gateway: 1, service: 2, method: 3, route: 4, rule: 5 } as const;
export type Level = (typeof Level)[keyof typeof Level];

/** One policy that applies, with where it comes from. */
export interface PolicyLayer {
  readonly level: Level;
  readonly source: string;
  readonly spec: TrafficPolicySpec;
}

/** What holds when nobody wrote anything. */
export const DEFAULT_POLICY = {
  timeout: "15s",
  perTryTimeout: "0s",
  retry: {
    attempts: 2,
    on: ["connect-failure", "refused", "reset", "overflow", "timeout", "gateway-error", "unavailable"],
    nonIdempotent: false,
    backoff: { base: "25ms", max: "250ms", jitter: 1 },
    budget: { ratio: 0.2, minPerSecond: 10, ttl: "10s" },
    bufferBytes: 65_536,
  },
  breaker: {
    enabled: true,
    consecutiveFailures: 50,
    failureRatio: 0,
    minRequests: 20,
    window: "10s",
    sleep: "1s",
    on: ["connect-failure", "reset", "refused", "protocol", "timeout", "gateway-error", "unavailable"],
  },
  balancer: { kind: "p2c", decay: "10s" },
  limits: { maxInFlight: Number.POSITIVE_INFINITY, maxInFlightPerEndpoint: Number.POSITIVE_INFINITY },
} as const;

/** What a policy that names a breaker gets where it says nothing else: Hystrix's defaults. */
export const NAMED_BREAKER = {
  consecutiveFailures: 0,
  failureRatio: 0.5,
  minRequests: 20,
  window: "10s",
  sleep: "5s",
  on: [
    "connect-failure",
    "reset",
    "refused",
    "protocol",
    "timeout",
    "5xx",
    "unknown",
    "deadline_exceeded",
    "internal",
    "unavailable",
    "data_loss",
  ],
} as const;

/** When a fallback answers that does not say when. */
export const FALLBACK_ON: readonly string[] = [
  ...NAMED_BREAKER.on,
  "overflow",
  "breaker-open",
  "no-endpoint",
  "resource_exhausted",
];

/** Field by field the most specific layer wins; inside `retry`, `breaker` and `limits` too. A `fallback` is taken whole. */
export function resolvePolicy(layers: readonly PolicyLayer[]): EffectivePolicy {
  const ordered = [...layers].sort((a, b) => a.level - b.level);
  const sources: Record<string, string> = {};
  let timeoutLevel: Level = Level.system;
  let timeout: string = DEFAULT_POLICY.timeout;
  let perTry: string = DEFAULT_POLICY.perTryTimeout;
  let retry: Required<RetrySpec> = DEFAULT_POLICY.retry;
  let breaker: Required<NonNullable<TrafficPolicySpec["breaker"]>> = DEFAULT_POLICY.breaker;
  let balancer: { kind: BalancerKind; decay?: string } = DEFAULT_POLICY.balancer;
  let limits: Required<NonNullable<TrafficPolicySpec["limits"]>> = DEFAULT_POLICY.limits;
  let fallback: FallbackSpec | null = null;
  let breakerNamed = false;
  for (const { level, source, spec } of ordered) {
    if (spec.timeout !== undefined) {
      timeout = spec.timeout;
      timeoutLevel = level;
      sources.timeout = source;
    }
    if (spec.perTryTimeout !== undefined) {
      perTry = spec.perTryTimeout;
      sources.perTryTimeout = source;
    }
    if (spec.retry !== undefined) {
      const { backoff, budget, ...rest } = spec.retry;
      retry = {
        ...retry,
        ...defined(rest),
        backoff: { ...retry.backoff, ...defined(backoff ?? {}) },
        budget: { ...retry.budget, ...defined(budget ?? {}) },
      };
      sources.retry = source;
    }
    if (spec.breaker !== undefined) {
      const base = breakerNamed ? breaker : { ...DEFAULT_POLICY.breaker, ...NAMED_BREAKER };
      // Whoever writes a rule of its own means that one: the ratio does not open it beside, unless it is written too.
      const own: { failureRatio?: number } =
        spec.breaker.consecutiveFailures !== undefined && spec.breaker.failureRatio === undefined
          ? { failureRatio: 0 }
          : {};
      breaker = { ...base, ...own, ...defined(spec.breaker) };
      breakerNamed = true;
      sources.breaker = source;
    }
    if (spec.balancer !== undefined) {
      balancer = { ...balancer, ...defined(spec.balancer) };
      sources.balancer = source;
    }
    if (spec.limits !== undefined) {
      limits = { ...limits, ...defined(spec.limits) };
      sources.limits = source;
    }
    if (spec.fallback !== undefined) {
      fallback = spec.fallback;
      sources.fallback = source;
    }
  }
  return Object.freeze({
    timeoutMs: limitMs(timeout),
    perTryTimeoutMs: limitMs(perTry),
    timeoutLevel,
    retry: {
      attempts: Math.min(retry.attempts, MAX_RETRIES),
      on: new ConditionSet(retry.on),
      nonIdempotent: retry.nonIdempotent,
      baseMs: durationMs(retry.backoff.base ?? DEFAULT_POLICY.retry.backoff.base),
      maxMs: durationMs(retry.backoff.max ?? DEFAULT_POLICY.retry.backoff.max),
      jitter: retry.backoff.jitter ?? DEFAULT_POLICY.retry.backoff.jitter,
      budget: {
        ratio: retry.budget.ratio ?? DEFAULT_POLICY.retry.budget.ratio,
        minPerSecond: retry.budget.minPerSecond ?? DEFAULT_POLICY.retry.budget.minPerSecond,
        ttlMs: durationMs(retry.budget.ttl ?? DEFAULT_POLICY.retry.budget.ttl),
      },
      bufferBytes: retry.bufferBytes,
    },
    breaker: breaker.enabled
      ? {
          consecutiveFailures: breaker.consecutiveFailures,
          failureRatio: breaker.failureRatio,
          minRequests: breaker.minRequests,
          windowMs: durationMs(breaker.window),
          sleepMs: durationMs(breaker.sleep),
          on: new ConditionSet(breaker.on),
        }
      : null,
    balancer: { kind: balancer.kind, decayMs: durationMs(balancer.decay ?? DEFAULT_POLICY.balancer.decay) },
    maxInFlight: limits.maxInFlight,
    maxInFlightPerEndpoint: limits.maxInFlightPerEndpoint,
    fallback: fallback === null ? null : fallbackOf(fallback),
    sources,
  });
}

/** Retries beyond the first attempt that a policy can ask for. */
export const MAX_RETRIES = 10;

function fallbackOf(spec: FallbackSpec): FallbackSettings {
  const text = spec.body === undefined ? "" : typeof spec.body === "string" ? spec.body : JSON.stringify(spec.body);
  const contentType =
    spec.contentType ?? (typeof spec.body === "string" ? "text/plain; charset=utf-8" : "application/json");
  return {
    status: spec.status ?? 200,
    fields: text === "" ? [] : ["content-type", contentType],
    body: new TextEncoder().encode(text),
    on: new ConditionSet(spec.on ?? FALLBACK_ON),
  };
}

/** Resources are validated before they get here. */
function durationMs(text: string): number {
  return parseDuration(text) ?? 0;
}

/** "0s" is no limit. */
function limitMs(text: string): number {
  return durationMs(text) || Number.POSITIVE_INFINITY;
}

/** Without the fields that are there but undefined. */
function defined<T extends object>(from: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as never;
}
