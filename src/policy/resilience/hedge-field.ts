import { conditions, POSITIVE } from "../resource/common-shapes.ts";
import { ConditionSet } from "../resource/conditions.ts";
import { durationMs } from "../resource/duration.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import { bool, described, number, object, shown } from "../resource/shape.ts";

/** A second attempt while the first is still under way: for calls that are slow now and then. Whoever answers well first wins. */
export interface HedgeSpec {
  /** False switches it off. Default true where a policy names it. */
  readonly enabled?: boolean;
  /** After which the next attempt is made: a quantile of the method's own latency ("p95", "p99.9"), or a duration. Default "p95". */
  readonly after?: string;
  /** Never earlier than this. Default "1ms". */
  readonly notBefore?: string;
  /** Hedges of one call, 1 to 4. Default 1. */
  readonly max?: number;
  /** Answers that do not end the call while others are under way; see conditions.ts. Default: what is retried. */
  readonly nonFatal?: readonly string[];
  /** True: also calls that are not idempotent. */
  readonly nonIdempotent?: boolean;
  /** True: an attempt over its perTryTimeout goes on beside the retry that follows it. */
  readonly onTryTimeout?: boolean;
  /** 0..1: hedges for each call of the service. Default 0.05. */
  readonly ratio?: number;
}

export interface HedgeSettings {
  /** "p95", "30ms": as it was written. */
  readonly after: string;
  /** Ms; -1: by `quantile`. */
  readonly afterMs: number;
  readonly quantile: number;
  readonly notBeforeMs: number;
  readonly max: number;
  /** Null: what is retried. */
  readonly nonFatal: ConditionSet | null;
  readonly nonIdempotent: boolean;
  readonly onTryTimeout: boolean;
  readonly ratio: number;
}

/** Hedges that a policy can ask for. gRFC A6 allows 5 attempts. */
const MAX_HEDGES = 4;

/** What a policy that names it gets where it says nothing else. */
const DEFAULT_HEDGE = {
  enabled: true,
  after: "p95",
  notBefore: "1ms",
  max: 1,
  nonIdempotent: false,
  onTryTimeout: false,
  ratio: 0.05,
} as const;

const after = described(
  (value, path, report) => {
    if (typeof value === "string" && (quantileOf(value) > 0 || durationMs(value) > 0)) return;
    report(path, `must be a quantile such as "p95" (p50 to p99.99) or a duration such as "30ms", is ${shown(value)}`);
  },
  () => ({ type: "string", description: 'a quantile ("p95") or a duration ("30ms")' }),
);

/** Off unless a policy names it. Every field counts for itself. */
export const hedgeField: PolicyField<HedgeSpec, HedgeSettings | null> = {
  check: object({
    enabled: bool,
    after,
    notBefore: POSITIVE,
    max: number(1, MAX_HEDGES, true),
    nonFatal: conditions,
    nonIdempotent: bool,
    onTryTimeout: bool,
    ratio: number(0, 1, false),
  }),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile(spec) {
    if (spec === null || spec.enabled === false) return null;
    const hedge = { ...DEFAULT_HEDGE, ...spec };
    const quantile = quantileOf(hedge.after);
    return {
      after: hedge.after,
      afterMs: quantile > 0 ? -1 : durationMs(hedge.after),
      quantile,
      notBeforeMs: durationMs(hedge.notBefore),
      max: hedge.max,
      nonFatal: hedge.nonFatal === undefined ? null : new ConditionSet(hedge.nonFatal),
      nonIdempotent: hedge.nonIdempotent,
      onTryTimeout: hedge.onTryTimeout,
      ratio: hedge.ratio,
    };
  },
};

/** 0.95 of "p95"; 0 when it is no quantile. */
function quantileOf(text: string): number {
  const percent = Number(/^p(\d{2}(?:\.\d{1,2})?)$/.exec(text)?.[1] ?? 0);
  return percent >= 50 ? percent / 100 : 0;
}
