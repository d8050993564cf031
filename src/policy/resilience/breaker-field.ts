import { conditions, POSITIVE } from "../resource/common-shapes.ts";
import { ConditionSet } from "../resource/conditions.ts";
import { durationMs } from "../resource/duration.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { BreakerSpec } from "../resource/resources.ts";
import { bool, number, object, oneOf } from "../resource/shape.ts";
import type { BreakerSettings } from "./breaker.ts";

/** What holds when nobody writes a breaker. */
const DEFAULT_BREAKER = {
  enabled: true,
  consecutiveFailures: 50,
  failureRatio: 0,
  slowRatio: 0,
  slowCall: "60s",
  minRequests: 20,
  window: "10s",
  sleep: "1s",
  scope: "process",
  quorum: 2,
  on: ["connect-failure", "reset", "refused", "protocol", "timeout", "gateway-error", "unavailable"],
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

/** Every field counts for itself; compiles to null when it is off. */
export const breakerField: PolicyField<BreakerSpec, BreakerSettings | null> = {
  check: object({
    enabled: bool,
    consecutiveFailures: number(0, 100_000, true),
    failureRatio: number(0, 1, false),
    slowRatio: number(0, 1, false),
    slowCall: POSITIVE,
    minRequests: number(1, 1_000_000, true),
    window: POSITIVE,
    sleep: POSITIVE,
    scope: oneOf(["process", "fleet"]),
    quorum: number(2, 10_000, true),
    on: conditions,
  }),
  over(under, spec) {
    // Whoever writes a rule of its own means that one: the ratio does not open it beside, unless it is written too.
    const { consecutiveFailures, slowRatio, failureRatio } = spec;
    const ruled = (consecutiveFailures !== undefined || slowRatio !== undefined) && failureRatio === undefined;
    return {
      ...(under ?? { ...DEFAULT_BREAKER, ...NAMED_BREAKER }),
      ...(ruled ? { failureRatio: 0 } : {}),
      ...defined(spec),
    };
  },
  compile(spec) {
    const breaker = { ...DEFAULT_BREAKER, ...spec };
    if (!breaker.enabled) return null;
    return {
      consecutiveFailures: breaker.consecutiveFailures,
      failureRatio: breaker.failureRatio,
      slowRatio: breaker.slowRatio,
      slowMs: durationMs(breaker.slowCall),
      minRequests: breaker.minRequests,
      windowMs: durationMs(breaker.window),
      sleepMs: durationMs(breaker.sleep),
      quorum: breaker.scope === "fleet" ? breaker.quorum : 0,
      on: new ConditionSet(breaker.on),
    };
  },
};
