import type { ConnectionBounds } from "../../core/connection-bounds.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { LimitsSpec } from "../resource/resources.ts";
import { number, object } from "../resource/shape.ts";

/** Bulkheads: how much one service may take of this process. Infinity is unlimited. What Envoy calls circuit breakers (thresholds). */
export interface BulkheadSettings {
  readonly maxInFlight: number;
  readonly maxInFlightPerEndpoint: number;
  /** Retries under way or waited for. */
  readonly maxRetries: number;
  /** Null: the pool's own. */
  readonly connections: ConnectionBounds | null;
}

const count = number(1, 10_000_000, true);

/** Every field counts for itself. */
export const limitsField: PolicyField<LimitsSpec, BulkheadSettings> = {
  check: object({
    maxInFlight: count,
    maxInFlightPerEndpoint: count,
    maxRetries: number(0, 10_000_000, true),
    maxConnections: count,
    maxPending: count,
    maxStreams: count,
  }),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile(spec) {
    const { maxInFlight, maxInFlightPerEndpoint, maxRetries, maxConnections, maxPending, maxStreams } = spec ?? {};
    const none = maxConnections === undefined && maxPending === undefined && maxStreams === undefined;
    return {
      maxInFlight: maxInFlight ?? NEVER,
      maxInFlightPerEndpoint: maxInFlightPerEndpoint ?? NEVER,
      maxRetries: maxRetries ?? NEVER,
      connections: none
        ? null
        : { maxConnections: maxConnections ?? NEVER, maxPending: maxPending ?? NEVER, maxStreams: maxStreams ?? NEVER },
    };
  },
};

const NEVER = Number.POSITIVE_INFINITY;
