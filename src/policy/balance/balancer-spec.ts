import type { Duration } from "../resource/resources.ts";

/** How one endpoint of several is chosen; docs/policies/balancers.md. */
export type BalancerKind =
  | "p2c"
  | "least-request"
  | "round-robin"
  | "weighted-round-robin"
  | "random"
  | "weighted-random"
  | "prequal"
  | "by-load"
  | "ring-hash"
  | "maglev";

/** TrafficPolicy.spec.balancer. Every field counts for itself; of fields that are objects again, too. */
export interface BalancerSpec {
  /** Default "p2c". */
  readonly kind?: BalancerKind;
  /** p2c, prequal: how fast old latencies are forgotten. Default "10s". */
  readonly decay?: Duration;
  readonly leastRequest?: LeastRequestSpec;
  readonly prequal?: PrequalSpec;
  readonly load?: LoadWeightsSpec;
  /** ring-hash. */
  readonly ring?: { readonly minSize?: number; readonly maxSize?: number };
  /** maglev: a prime. Default 65,537. */
  readonly tableSize?: number;
  /** ring-hash, maglev: no endpoint gets more than so many times the mean of the calls in flight. 0 (default): unbounded. */
  readonly boundedLoad?: number;
  /** ring-hash, maglev: what a call's place is made of, in order. */
  readonly hash?: readonly HashKeySpec[];
  readonly slowStart?: SlowStartSpec;
  readonly subset?: SubsetSpec;
  /** This process uses at most so many endpoints, always the same. 0 (default): all. */
  readonly subsetSize?: number;
  readonly zones?: ZonesSpec;
  /** Endpoint metadata that holds an endpoint's priority, a whole number; 0 is highest. */
  readonly priorityFrom?: string;
  /** By how much a priority or zone may be short of endpoints before calls spill over, 1 to 10. Default 1.4. */
  readonly overprovisioning?: number;
  /** 0..1: below this share of healthy endpoints all are used, healthy or not. Default 0.5 where zones or priorities are written, otherwise 0 (never). */
  readonly panicThreshold?: number;
}

export interface LeastRequestSpec {
  /** How many are drawn, 2 to 16. Default 2. */
  readonly choices?: number;
  /** "full" looks at every endpoint. Default "sample". */
  readonly scan?: "sample" | "full";
  /** Where weights differ: how much calls in flight take from a weight. Default 1. */
  readonly activeRequestBias?: number;
}

export interface PrequalSpec {
  /** 0..1: endpoints with more calls in flight than this quantile of the pool are hot. Default 2^-0.25, about 0.84. */
  readonly rifQuantile?: number;
  /** Endpoints looked at for one call, 2 to 64. Default 16. */
  readonly poolSize?: number;
  /** Endpoints that come into the pool with each call. Default 3. */
  readonly probesPerCall?: number;
  /** A report older than this is not believed. Default "1s". */
  readonly maxAge?: Duration;
}

export interface LoadWeightsSpec {
  /** What an endpoint's share is divided by. Default "auto": what the application reports, else the larger of CPU and event loop. */
  readonly utilization?: "auto" | "application" | "cpu" | "memory" | "event-loop";
  /** Reports are not used for so long after the first. Default "10s". */
  readonly blackout?: Duration;
  /** A weight is forgotten when no report came for so long. Default "3m". */
  readonly expiration?: Duration;
  /** Default "1s". */
  readonly updatePeriod?: Duration;
  /** How much the share of failed calls adds to the utilisation. Default 1. */
  readonly errorPenalty?: number;
}

export interface HashKeySpec {
  readonly by: "header" | "cookie" | "query" | "address" | "identity" | "message";
  /** The header's, cookie's or query parameter's name, or the message field's path ("user.id"). */
  readonly name?: string;
  /** Cookies: made for callers that have none. Default: none is made. */
  readonly ttl?: Duration;
  /** Of the cookie that is made. Default "/". */
  readonly path?: string;
  /** When this one gave a key, those after it are not looked at. Default false. */
  readonly terminal?: boolean;
}

export interface SlowStartSpec {
  /** Time until a new endpoint has its whole weight. */
  readonly window: Duration;
  /** 1: linear; above: faster at first. Default 1. */
  readonly aggression?: number;
  /** 0..1: the share it begins with. Default 0.1. */
  readonly minWeight?: number;
}

export interface SubsetSpec {
  /** Endpoint metadata (or "version", "zone") and what it must be: a value, or the value of a request header. */
  readonly match: Readonly<Record<string, string | { readonly header: string }>>;
  /** When no endpoint matches. Default "any". */
  readonly fallback?: "none" | "any" | "default";
  /** For fallback "default": metadata and values. */
  readonly default?: Readonly<Record<string, string>>;
}

export interface ZonesSpec {
  /**
   * "aware": each priority's calls stay in the caller's zone as far as it has its share of the endpoints. "failover": the caller's zone
   * is the first priority, those of `order` follow. "off" (default).
   */
  readonly routing?: "aware" | "failover" | "off";
  /** aware: below so many endpoints zones are not looked at. Default 6. */
  readonly minEndpoints?: number;
  /** failover: zones in the order in which they follow. Zones that are not named come last, together. */
  readonly order?: readonly string[];
}
