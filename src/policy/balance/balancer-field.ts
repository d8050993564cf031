import { POSITIVE } from "../resource/common-shapes.ts";
import { durationMs } from "../resource/duration.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { BalancerSpec } from "../resource/resources.ts";
import { object, oneOf } from "../resource/shape.ts";
import type { BalancerSettings } from "./balancer.ts";

/** Every field counts for itself. */
export const balancerField: PolicyField<BalancerSpec, BalancerSettings> = {
  check: object({ kind: oneOf(["p2c", "round-robin", "random", "weighted-round-robin"]), decay: POSITIVE }, ["kind"]),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile: (spec) => ({ kind: spec?.kind ?? "p2c", decayMs: durationMs(spec?.decay ?? "10s") }),
};
