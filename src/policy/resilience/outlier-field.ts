import { POSITIVE } from "../resource/common-shapes.ts";
import { durationMs } from "../resource/duration.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import { bool, number, object } from "../resource/shape.ts";

/** Puts endpoints aside that do worse than they should. Envoy's OutlierDetection: its fields, defaults and meaning; percentages are 0 to 100 as there. */
export interface OutlierSpec {
  /** False switches it off. Default true where a policy names it. */
  readonly enabled?: boolean;
  /** 5xx answers in a row (and, unless errors are split, lost attempts and time-outs). Default 5. */
  readonly consecutive5xx?: number;
  /** 502, 503, 504 in a row. Default 5, but not enforced by default. */
  readonly consecutiveGatewayFailure?: number;
  /** Lost attempts and time-outs in a row. Default 5. Counts only when errors are split. */
  readonly consecutiveLocalOriginFailure?: number;
  /** True: what this process saw itself (connections, resets, time-outs) is counted apart from what endpoints answered. Default false. */
  readonly splitExternalLocalOriginErrors?: boolean;
  /** How often success rates are compared. Default "10s". */
  readonly interval?: string;
  /** How long an endpoint is put aside, times how often it has been. Default "30s". */
  readonly baseEjectionTime?: string;
  /** Default "300s". */
  readonly maxEjectionTime?: string;
  /** Of the backend's endpoints; one may always go unless it is 0. Default 10. */
  readonly maxEjectionPercent?: number;
  /** Endpoints that must have enough requests for their success rates to be compared. Default 5. */
  readonly successRateMinimumHosts?: number;
  /** Requests in an interval that are enough. Default 100. */
  readonly successRateRequestVolume?: number;
  /** An endpoint goes whose success rate is below mean - factor / 1000 x standard deviation. Default 1900. */
  readonly successRateStdevFactor?: number;
  /** An endpoint goes when so many of its requests failed. Default 85, but not enforced by default. */
  readonly failurePercentageThreshold?: number;
  /** Default 5. */
  readonly failurePercentageMinimumHosts?: number;
  /** Default 50. */
  readonly failurePercentageRequestVolume?: number;
  /** How many of 100 ejections that a rule wants are made. Defaults 100, 0, 100, 100, 100, 0, 0. */
  readonly enforcingConsecutive5xx?: number;
  readonly enforcingConsecutiveGatewayFailure?: number;
  readonly enforcingConsecutiveLocalOriginFailure?: number;
  readonly enforcingSuccessRate?: number;
  readonly enforcingLocalOriginSuccessRate?: number;
  readonly enforcingFailurePercentage?: number;
  readonly enforcingFailurePercentageLocalOrigin?: number;
}

export type OutlierSettings = Readonly<
  Omit<Required<OutlierSpec>, "enabled" | "interval" | "baseEjectionTime" | "maxEjectionTime"> & {
    intervalMs: number;
    baseEjectionMs: number;
    maxEjectionMs: number;
  }
>;

/** config.cluster.v3.OutlierDetection. */
const ENVOY_OUTLIER = {
  consecutive5xx: 5,
  consecutiveGatewayFailure: 5,
  consecutiveLocalOriginFailure: 5,
  splitExternalLocalOriginErrors: false,
  interval: "10s",
  baseEjectionTime: "30s",
  maxEjectionTime: "300s",
  maxEjectionPercent: 10,
  successRateMinimumHosts: 5,
  successRateRequestVolume: 100,
  successRateStdevFactor: 1_900,
  failurePercentageThreshold: 85,
  failurePercentageMinimumHosts: 5,
  failurePercentageRequestVolume: 50,
  enforcingConsecutive5xx: 100,
  enforcingConsecutiveGatewayFailure: 0,
  enforcingConsecutiveLocalOriginFailure: 100,
  enforcingSuccessRate: 100,
  enforcingLocalOriginSuccessRate: 100,
  enforcingFailurePercentage: 0,
  enforcingFailurePercentageLocalOrigin: 0,
} as const;

const percent = number(0, 100, false);
const inARow = number(1, 65_000, true);
const hosts = number(1, 100_000, true);
const volume = number(1, 10_000_000, true);

/** Off unless a policy names it: then the quick put-aside of endpoints that cannot be reached stays beside it. Every field counts for itself. */
export const outlierField: PolicyField<OutlierSpec, OutlierSettings | null> = {
  check: object({
    enabled: bool,
    consecutive5xx: inARow,
    consecutiveGatewayFailure: inARow,
    consecutiveLocalOriginFailure: inARow,
    splitExternalLocalOriginErrors: bool,
    interval: POSITIVE,
    baseEjectionTime: POSITIVE,
    maxEjectionTime: POSITIVE,
    maxEjectionPercent: percent,
    successRateMinimumHosts: hosts,
    successRateRequestVolume: volume,
    successRateStdevFactor: number(0, 100_000, false),
    failurePercentageThreshold: percent,
    failurePercentageMinimumHosts: hosts,
    failurePercentageRequestVolume: volume,
    enforcingConsecutive5xx: percent,
    enforcingConsecutiveGatewayFailure: percent,
    enforcingConsecutiveLocalOriginFailure: percent,
    enforcingSuccessRate: percent,
    enforcingLocalOriginSuccessRate: percent,
    enforcingFailurePercentage: percent,
    enforcingFailurePercentageLocalOrigin: percent,
  }),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile(spec) {
    if (spec === null || spec.enabled === false) return null;
    const { enabled: _, interval, baseEjectionTime, maxEjectionTime, ...rest } = { ...ENVOY_OUTLIER, ...spec };
    const baseEjectionMs = durationMs(baseEjectionTime);
    return {
      ...rest,
      intervalMs: durationMs(interval),
      baseEjectionMs,
      maxEjectionMs: Math.max(baseEjectionMs, durationMs(maxEjectionTime)),
    };
  },
};
