import type { MutualTls } from "../../core/identity.ts";
import type { AdmissionSpec } from "../admission/admission-field.ts";
import type { BalancerSpec } from "../balance/balancer-spec.ts";
import type { CacheSpec } from "../cache/cache-field.ts";
import type { ConcurrencySpec } from "../concurrency/concurrency-field.ts";
import type { FaultSpec } from "../fault/fault-field.ts";
import type { RateLimitSpec } from "../limit/rate-limit-spec.ts";
import type { Objective } from "../objective/objective-resource.ts";
import type { FallbackSpec } from "../resilience/fallback-field.ts";
import type { HedgeSpec } from "../resilience/hedge-field.ts";
import type { OutlierSpec } from "../resilience/outlier-field.ts";
import type { ProxyProtocolSpec } from "../route/proxy-protocol-field.ts";
import type { Authentication } from "../security/authentication-resource.ts";
import type { Authorization } from "../security/authorization-resource.ts";
/**
 * What people write to say what may happen to calls. Kubernetes-like objects: routes in the Gateway API's shapes (so a cluster's own
 * YAML is accepted), weft's policies beside them. Plain data; `parseResources` (validate.ts) checks it, builders.ts makes it, snapshot.ts
 * compiles it.
 */
export type Resource =
  | HTTPRoute
  | GRPCRoute
  | SessionRoute
  | TrafficPolicy
  | RateLimit
  | Authentication
  | Authorization
  | Objective;
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
  /** What a cluster writes: of routes that match alike the oldest wins. */
  readonly creationTimestamp?: string;
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
  readonly kind?: "Gateway" | "ListenerSet" | "Service";
  readonly name: string;
  /** Accepted with a warning: a system has one namespace. */
  readonly namespace?: string;
  /** Of routes of sessions: the listener's name, and its port. Others are accepted with a warning: HTTP has one listener. */
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
  readonly sessionPersistence?: SessionPersistence;
}

/** All conditions of one match hold together. */
export interface HTTPRouteMatch {
  readonly path?: PathMatch;
  readonly method?: string;
  readonly headers?: readonly ValueMatch[];
  readonly queryParams?: readonly ValueMatch[];
}

export interface PathMatch {
  /** Default "PathPrefix", which matches whole segments: "/v1" matches "/v1" and "/v1/x", not "/v10". "RegularExpression": of RE2, and matches whole paths. */
  readonly type?: "Exact" | "PathPrefix" | "RegularExpression";
  /** Default "/". */
  readonly value?: string;
}

export interface ValueMatch {
  /** Default "Exact". "RegularExpression": of RE2, and matches whole values. */
  readonly type?: "Exact" | "RegularExpression";
  readonly name: string;
  readonly value: string;
}

export interface BackendRef {
  readonly group?: string;
  readonly kind?: "Service";
  /** "products", or "products@v1" for its endpoints of version v1. */
  readonly name: string;
  /** Accepted with a warning when it is the route's own. */
  readonly namespace?: string;
  readonly port?: number;
  /** Relative share, default 1; 0 takes none. */
  readonly weight?: number;
  /** Header modifiers for what goes to this backend, after the rule's own. */
  readonly filters?: readonly RouteFilter[];
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
  | { readonly type: "RequestMirror"; readonly requestMirror: RequestMirror }
  | { readonly type: "CORS"; readonly cors: CORSFilter };

/** Which web pages of other origins may use it (HTTPRoute; see route/cors.ts). Absent lists are empty. */
export interface CORSFilter {
  /** "https://shop.example", "https://*.shop.example" (any labels to the left), "*" for all; other ports than the scheme's own are written. */
  readonly allowOrigins?: readonly string[];
  /** With cookies and HTTP authentication. Default false. */
  readonly allowCredentials?: boolean;
  /** Beside GET, HEAD and POST; or ["*"]. */
  readonly allowMethods?: readonly string[];
  /** Request headers beside the few that are always allowed; or ["*"]. */
  readonly allowHeaders?: readonly string[];
  /** Response headers that pages may read; or ["*"], which is without effect when there are credentials. */
  readonly exposeHeaders?: readonly string[];
  /** Seconds that a browser may keep the answer to a preflight. Default 5. */
  readonly maxAge?: number;
}

/** Calls of a session go to one endpoint (Gateway API GEP-1619; see route/session.ts). */
export interface SessionPersistence {
  /** Of the cookie or header. Default: made of the route's name. */
  readonly sessionName?: string;
  /** Default "Cookie". */
  readonly type?: "Cookie" | "Header";
  /** A session ends so long after it began. Default: never. */
  readonly absoluteTimeout?: Duration;
  /** A session ends when it has not been used for so long. Default: never. */
  readonly idleTimeout?: Duration;
  /** "Session" (default): the browser forgets the cookie when it ends. "Permanent": it keeps it for `absoluteTimeout`, which must be there. */
  readonly cookieConfig?: { readonly lifetimeType?: "Session" | "Permanent" };
}

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
  /** 0 to 100, default 100. Not beside `fraction`. */
  readonly percent?: number;
  /** numerator / denominator (default 100) of the requests. */
  readonly fraction?: { readonly numerator: number; readonly denominator?: number };
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
  /** All but URLRewrite, RequestRedirect and CORS. */
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly BackendRef[];
  readonly sessionPersistence?: SessionPersistence;
}

export interface GRPCRouteMatch {
  /** "counter.v1.Counter" and "Count"; either may be absent, not both. */
  readonly method?: {
    /** Default "Exact". "RegularExpression": `service` and `method` are such, each of its whole name. */
    readonly type?: "Exact" | "RegularExpression";
    readonly service?: string;
    readonly method?: string;
  };
  readonly headers?: readonly ValueMatch[];
}

/** Routes of connections and datagrams whose bytes are not looked at. */
export type SessionRoute = TCPRoute | UDPRoute | TLSRoute;

/** TCP connections to the gateway's listeners of protocol TCP (docs/tcp.md). */
export interface TCPRoute {
  readonly apiVersion: SessionRouteApi;
  readonly kind: "TCPRoute";
  readonly metadata: Metadata;
  readonly spec: SessionRouteSpec;
}

/** Datagrams to the gateway's listeners of protocol UDP, by the address that sends them. */
export interface UDPRoute {
  readonly apiVersion: SessionRouteApi;
  readonly kind: "UDPRoute";
  readonly metadata: Metadata;
  readonly spec: SessionRouteSpec;
}

/** TLS connections to the gateway's listeners of protocol TLS, by the server name that they ask for; they are not terminated. */
export interface TLSRoute {
  readonly apiVersion: SessionRouteApi;
  readonly kind: "TLSRoute";
  readonly metadata: Metadata;
  /** hostnames: "shop.example" or "*.shop.example"; absent: every connection, also one that asks for none. */
  readonly spec: SessionRouteSpec & { readonly hostnames?: readonly string[] };
}

/** The Gateway API has them in its experimental channel, too. */
export type SessionRouteApi = typeof GATEWAY_API | `${typeof GATEWAY_API}alpha2` | `${typeof GATEWAY_API}alpha3`;

export interface SessionRouteSpec {
  /** Absent: all listeners of its protocol. sectionName is a listener's name. Kind Service: connections to that service from sidecars (GAMMA). */
  readonly parentRefs?: readonly ParentRef[];
  /** One, since there is nothing that rules could be chosen by. */
  readonly rules: readonly SessionRouteRule[];
}

export interface SessionRouteRule {
  readonly name?: string;
  /** Shares by weight. */
  readonly backendRefs: readonly BackendRef[];
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
export type TargetKind = "System" | "Gateway" | "Service" | "Method" | RouteKind;
export type RouteKind = "HTTPRoute" | "GRPCRoute" | SessionRoute["kind"];

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
  /** No bytes either way for so long. "0s" (default): unlimited. */
  readonly idleTimeout?: Duration;
  readonly retry?: RetrySpec;
  readonly hedge?: HedgeSpec;
  readonly breaker?: BreakerSpec;
  readonly outlier?: OutlierSpec;
  readonly balancer?: BalancerSpec;
  readonly limits?: LimitsSpec;
  readonly fallback?: FallbackSpec;
  readonly fault?: FaultSpec;
  readonly cache?: CacheSpec;
  readonly admission?: AdmissionSpec;
  readonly concurrency?: ConcurrencySpec;
  /** Of sessions over TCP: tells the endpoint who connected, by a header of the PROXY protocol before their bytes. Default "off". */
  readonly proxyProtocol?: ProxyProtocolSpec;
  /** Of services and the whole system: how calls are taken, and made. Default "permissive". docs/identity.md. */
  readonly mtls?: MutualTls;
}

export type { BalancerKind, BalancerSpec } from "../balance/balancer-spec.ts";
export type { FallbackGrpcSpec, FallbackSpec } from "../resilience/fallback-field.ts";
export type { HedgeSpec } from "../resilience/hedge-field.ts";
export type { OutlierSpec } from "../resilience/outlier-field.ts";

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
    /** The longest wait that a server may ask for (grpc-retry-pushback-ms, retry-after, resetHeaders). One that asks for more is not retried. */
    readonly maxPushback?: Duration;
    /** Further header fields by which servers say when they take requests again. */
    readonly resetHeaders?: readonly ResetHeader[];
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

/** Envoy's rate_limited_retry_back_off.reset_headers. */
export interface ResetHeader {
  readonly name: string;
  /** "seconds" from now, or a "unix-timestamp" in seconds. */
  readonly format: "seconds" | "unix-timestamp";
}

export interface BreakerSpec {
  /** False switches it off. Default true. */
  readonly enabled?: boolean;
  /** Opens after so many failures in a row; 0: not by this rule. */
  readonly consecutiveFailures?: number;
  /** 0..1: opens when so many of the window's calls failed; 0: not by this rule. */
  readonly failureRatio?: number;
  /** 0..1: opens when so many of the window's calls took longer than `slowCall`, whatever came of them; 0 (default): not by this rule. */
  readonly slowRatio?: number;
  /** Default "60s". */
  readonly slowCall?: Duration;
  /** The ratios count only from so many calls in the window on. */
  readonly minRequests?: number;
  readonly window?: Duration;
  /** How long it stays open before one probe is let through. */
  readonly sleep?: Duration;
  /** What counts as a failure; see conditions.ts. */
  readonly on?: readonly string[];
  /** "fleet": the evidence of several processes opens it for all, and one of them probes. Default "process": each for itself. */
  readonly scope?: "process" | "fleet";
  /** scope "fleet": processes that must have found the service failing, at least and by default 2; and more than half of all with calls to it. */
  readonly quorum?: number;
}

export interface LimitsSpec {
  /** Attempts in flight to the service (or version), from this process. */
  readonly maxInFlight?: number;
  /** Attempts in flight to one endpoint, from this process. */
  readonly maxInFlightPerEndpoint?: number;
  /** Retries under way or waited for, to the service, from this process. */
  readonly maxRetries?: number;
  /** Connections to one endpoint. Default: the pool's (HTTP/1.1 256, HTTP/2 8). */
  readonly maxConnections?: number;
  /** Attempts that wait for a connection to one endpoint. Default: the pool's 1,024. */
  readonly maxPending?: number;
  /** Requests at once on one connection. Default: what the server allows. */
  readonly maxStreams?: number;
}

export interface RateLimit {
  readonly apiVersion: typeof WEFT_API;
  readonly kind: "RateLimit";
  readonly metadata: Metadata;
  readonly spec: RateLimitSpec;
}

export type {
  HotKeySpec,
  RateLimitAlgorithm,
  RateLimitCost,
  RateLimitException,
  RateLimitKey,
  RateLimitPlace,
  RateLimitSpec,
} from "../limit/rate-limit-spec.ts";
