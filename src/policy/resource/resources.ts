/**
 * What people write to say what may happen to calls. Kubernetes-like objects: routes in the Gateway API's shapes (so a cluster's own
 * YAML is accepted), weft's policies beside them. Plain data; `parseResources` (validate.ts) checks it, builders.ts makes it, snapshot.ts
 * compiles it.
 */
export type Resource = HTTPRoute | GRPCRoute | TrafficPolicy | RateLimit;
export type ResourceKind = Resource["kind"];

export const GATEWAY_API = "gateway.networking.k8s.io/v1";
export const WEFT_API = "weftmesh.dev/v1";

export interface Metadata {
  /** Unique among resources of its kind. */
  readonly name: string;
  /** Accepted, without effect: a system has one namespace. */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** "800ms", "1.5s", "2m", "1h30m"; "0s" where a time-out may be switched off. */
export type Duration = string;

// --- routes -----------------------------------------------------------------------------------------------------

export interface HTTPRoute {
  readonly apiVersion: typeof GATEWAY_API;
  readonly kind: "HTTPRoute";
  readonly metadata: Metadata;
  readonly spec: HTTPRouteSpec;
}

export interface HTTPRouteSpec {
  /** Absent: the system's gateway. Kind Service: calls to that service, wherever they come from (GAMMA). */
  readonly parentRefs?: readonly ParentRef[];
  /** "shop.example" or "*.shop.example"; absent: every host. */
  readonly hostnames?: readonly string[];
  readonly rules: readonly HTTPRouteRule[];
}

export interface ParentRef {
  readonly group?: string;
  /** Default "Gateway". */
  readonly kind?: "Gateway" | "Service";
  readonly name: string;
  /** Accepted with a warning: a system has one namespace, and its gateway one listener. */
  readonly namespace?: string;
  readonly sectionName?: string;
  readonly port?: number;
}

export interface HTTPRouteRule {
  readonly name?: string;
  /** Any of them suffices; absent: every path. */
  readonly matches?: readonly HTTPRouteMatch[];
  readonly filters?: readonly RouteFilter[];
  /** Shares by weight. Empty only with a RequestRedirect. */
  readonly backendRefs?: readonly BackendRef[];
  readonly timeouts?: RouteTimeouts;
  readonly retry?: RouteRetry;
}

/** All conditions of one match hold together. */
export interface HTTPRouteMatch {
  readonly path?: PathMatch;
  readonly method?: string;
  readonly headers?: readonly ValueMatch[];
  readonly queryParams?: readonly ValueMatch[];
}

export interface PathMatch {
  /** Default "PathPrefix", which matches whole segments: "/v1" matches "/v1" and "/v1/x", not "/v10". */
  readonly type?: "Exact" | "PathPrefix";
  /** Default "/". */
  readonly value?: string;
}

export interface ValueMatch {
  readonly type?: "Exact";
  readonly name: string;
  readonly value: string;
}

export interface BackendRef {
  readonly group?: string;
  readonly kind?: "Service";
  /** "products", or "products@v1" for its endpoints of version v1. */
  readonly name: string;
  readonly port?: number;
  /** Relative share, default 1; 0 takes none. */
  readonly weight?: number;
}

export interface RouteTimeouts {
  /** The whole call with its retries. "0s": unlimited. */
  readonly request?: Duration;
  /** One attempt. "0s": unlimited. */
  readonly backendRequest?: Duration;
}

export interface RouteRetry {
  /** HTTP statuses that are retried. */
  readonly codes?: readonly number[];
  /** Retries beyond the first attempt. */
  readonly attempts?: number;
  /** The shortest back-off. */
  readonly backoff?: Duration;
}

export type RouteFilter =
  | { readonly type: "RequestHeaderModifier"; readonly requestHeaderModifier: HeaderModifier }
  | { readonly type: "ResponseHeaderModifier"; readonly responseHeaderModifier: HeaderModifier }
  | { readonly type: "URLRewrite"; readonly urlRewrite: URLRewrite }
  | { readonly type: "RequestRedirect"; readonly requestRedirect: RequestRedirect }
  | { readonly type: "RequestMirror"; readonly requestMirror: RequestMirror };

export interface HeaderModifier {
  /** Replaces the field. */
  readonly set?: readonly HeaderValue[];
  /** Adds a further value. */
  readonly add?: readonly HeaderValue[];
  readonly remove?: readonly string[];
}

export interface HeaderValue {
  readonly name: string;
  readonly value: string;
}

export interface PathModifier {
  readonly type: "ReplaceFullPath" | "ReplacePrefixMatch";
  readonly replaceFullPath?: string;
  /** In place of the matched prefix; only with PathPrefix matches. */
  readonly replacePrefixMatch?: string;
}

export interface URLRewrite {
  readonly hostname?: string;
  readonly path?: PathModifier;
}

export interface RequestRedirect {
  readonly scheme?: "http" | "https";
  readonly hostname?: string;
  readonly path?: PathModifier;
  readonly port?: number;
  /** Default 302. */
  readonly statusCode?: 301 | 302 | 303 | 307 | 308;
}

export interface RequestMirror {
  readonly backendRef: BackendRef;
  /** 0 to 100, default 100. */
  readonly percent?: number;
}

export interface GRPCRoute {
  readonly apiVersion: typeof GATEWAY_API;
  readonly kind: "GRPCRoute";
  readonly metadata: Metadata;
  readonly spec: GRPCRouteSpec;
}

export interface GRPCRouteSpec {
  readonly parentRefs?: readonly ParentRef[];
  readonly hostnames?: readonly string[];
  readonly rules: readonly GRPCRouteRule[];
}

export interface GRPCRouteRule {
  readonly name?: string;
  readonly matches?: readonly GRPCRouteMatch[];
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly BackendRef[];
}

export interface GRPCRouteMatch {
  /** "counter.v1.Counter" and "Count"; either may be absent, not both. `method` alone is not supported: name the service too. */
  readonly method?: { readonly type?: "Exact"; readonly service?: string; readonly method?: string };
  readonly headers?: readonly ValueMatch[];
}

// --- policies ---------------------------------------------------------------------------------------------------

/** What a policy applies to. More specific wins, field by field: section of a route, route, Method, Service, Gateway, System. */
export interface TargetRef {
  readonly group?: string;
  readonly kind: TargetKind;
  /** Method: "counter.v1.Counter/Count", or "counter.v1.Counter" for all of them. Not needed for System. */
  readonly name?: string;
  /** A rule's name, when the kind is a route. */
  readonly sectionName?: string;
}
export type TargetKind = "System" | "Gateway" | "Service" | "Method" | "HTTPRoute" | "GRPCRoute";

export interface TrafficPolicy {
  readonly apiVersion: typeof WEFT_API;
  readonly kind: "TrafficPolicy";
  readonly metadata: Metadata;
  readonly spec: TrafficPolicySpec;
}

/** Fields that are absent are taken from the next less specific policy, in the end from the defaults of its field (*-field.ts). */
export interface TrafficPolicySpec {
  /** Absent: the whole system. */
  readonly targetRefs?: readonly TargetRef[];
  /** The whole call with its retries. "0s": unlimited. */
  readonly timeout?: Duration;
  /** One attempt. "0s": unlimited. */
  readonly perTryTimeout?: Duration;
  readonly retry?: RetrySpec;
  readonly breaker?: BreakerSpec;
  readonly balancer?: BalancerSpec;
  readonly limits?: LimitsSpec;
  readonly fallback?: FallbackSpec;
}

export interface RetrySpec {
  /** Retries beyond the first attempt, 0 to 10. 0 switches retrying off. */
  readonly attempts?: number;
  /** What is retried; see conditions.ts for the words. */
  readonly on?: readonly string[];
  /** True: also calls that are not idempotent. Default false. Failures that the server certainly did not process are retried anyway. */
  readonly nonIdempotent?: boolean;
  readonly backoff?: {
    readonly base?: Duration;
    readonly max?: Duration;
    /** 0..1: which share of the delay is random. */
    readonly jitter?: number;
  };
  readonly budget?: {
    /** 0..1: retries for each call. */
    readonly ratio?: number;
    /** Retries a second that are allowed whatever the ratio says. */
    readonly minPerSecond?: number;
    readonly ttl?: Duration;
  };
  /** Request body bytes kept for a retry. Longer bodies are not retried. */
  readonly bufferBytes?: number;
}

export interface BreakerSpec {
  /** False switches it off. Default true. */
  readonly enabled?: boolean;
  /** Opens after so many failures in a row; 0: not by this rule. */
  readonly consecutiveFailures?: number;
  /** 0..1: opens when so many of the window's calls failed; 0: not by this rule. */
  readonly failureRatio?: number;
  /** The ratio counts only from so many calls in the window on. */
  readonly minRequests?: number;
  readonly window?: Duration;
  /** How long it stays open before one probe is let through. */
  readonly sleep?: Duration;
  /** What counts as a failure; see conditions.ts. */
  readonly on?: readonly string[];
}

export type BalancerKind = "p2c" | "round-robin" | "random" | "weighted-round-robin";

export interface BalancerSpec {
  readonly kind: BalancerKind;
  /** p2c: how fast old latencies are forgotten. */
  readonly decay?: Duration;
}

export interface LimitsSpec {
  /** Attempts in flight to the service (or version), from this process. */
  readonly maxInFlight?: number;
  /** Attempts in flight to one endpoint, from this process. */
  readonly maxInFlightPerEndpoint?: number;
}

export interface FallbackSpec {
  /** 200 to 599, default 200. */
  readonly status?: number;
  /** Default "application/json", or "text/plain; charset=utf-8" when the body is a string. */
  readonly contentType?: string;
  /** A string is sent as it is, anything else as JSON. Default: empty. */
  readonly body?: unknown;
  /** When it answers; see conditions.ts. Default: whatever would otherwise fail with a 5xx, a time-out or an open breaker. */
  readonly on?: readonly string[];
}

export interface RateLimit {
  readonly apiVersion: typeof WEFT_API;
  readonly kind: "RateLimit";
  readonly metadata: Metadata;
  readonly spec: RateLimitSpec;
}

/** A token bucket. Every RateLimit that applies to a call must let it pass. Enforced by the gateway and by sidecars, not by clients. */
export interface RateLimitSpec {
  readonly targetRefs?: readonly TargetRef[];
  readonly requests: number;
  /** Default "1s". */
  readonly per?: Duration;
  /** Size of the bucket; default `requests`. In any time T at most burst + requests x T / per pass. */
  readonly burst?: number;
  /** What shares a bucket. Default: all calls that the limit applies to. */
  readonly key?: RateLimitKey;
  /** Buckets kept at once, default 10,000. When all are in use, further keys share one. */
  readonly maxKeys?: number;
  /** "process" (default): each process counts for itself. "system": asks the shared limiter, and counts for itself when that does not answer. */
  readonly scope?: "process" | "system";
}

export interface RateLimitKey {
  /** "header" needs `header`; calls without it share a bucket. */
  readonly by: "all" | "address" | "identity" | "header";
  readonly header?: string;
}
