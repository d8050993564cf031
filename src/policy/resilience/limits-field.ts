import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { LimitsSpec } from "../resource/resources.ts";
import { number, object } from "../resource/shape.ts";

/** Bulkheads: how much one service may take of this process. Infinity is unlimited. */
export interface BulkheadSettings {
  readonly maxInFlight: number;
  readonly maxInFlightPerEndpoint: number;
}

/** Every field counts for itself. */
export const limitsField: PolicyField<LimitsSpec, BulkheadSettings> = {
  check: object({
    maxInFlight: number(1, 10_000_000, true),
    maxInFlightPerEndpoint: number(1, 10_000_000, true),
  }),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile: (spec) => ({
    maxInFlight: spec?.maxInFlight ?? Number.POSITIVE_INFINITY,
    maxInFlightPerEndpoint: spec?.maxInFlightPerEndpoint ?? Number.POSITIVE_INFINITY,
  }),
};
