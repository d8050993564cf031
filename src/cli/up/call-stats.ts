import type { GatewayStats } from "./gateway-stats.ts";
import type { ServiceStats } from "./service-stats.ts";

/** What was measured of the calls of some endpoints (or of all that pass a gateway) within the last seconds. */
export interface CallStats {
  readonly perSecond: number;
  /** Milliseconds; NaN without calls. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Since whoever measures started. */
  readonly errors: number;
  /** Whether there were errors within the last seconds. */
  readonly failing: boolean;
}

/** Who is asked for figures. Null where nothing is known (yet). */
export interface CallFigures {
  endpoints(ids: readonly string[]): CallStats | null;
  /** Of the gateway's calls. */
  total(): CallStats | null;
}

/** A service's own figures, which count every caller; of those that report none, what the gateway sees of them. */
export function joinFigures(services: ServiceStats, gateway: GatewayStats): CallFigures {
  return {
    endpoints: (ids) => services.endpoints(ids) ?? gateway.endpoints(ids),
    total: () => gateway.total(),
  };
}
