import type { Resource } from "../resource/resources.ts";
import { isObject } from "../resource/shape.ts";

/**
 * Where policy can be enforced: weft's own places (design.md, "Which place enforces what") and the data planes that the same snapshot is translated
 * for.
 */
export const DATA_PLANES = ["client", "sidecar", "gateway", "server", "envoy", "grpc-xds"] as const;
export type DataPlane = (typeof DATA_PLANES)[number];

/** What a place does not enforce, and why and what to use instead; a place that is not named enforces it. */
export type Row = Readonly<Partial<Record<DataPlane, string>>>;

const ROUTED = "what is there already is not routed any more; routes hold where calls are made";
const CALLERS = "it holds where the call is made: at the client, the sidecar or the gateway";
const BROWSERS = "cross-origin requests come to gateways";
const HOSTS = "calls between services are routed whatever host they name";
const JITTER = (who: string): string => `${who} draws the whole back-off at random; leave it at 1`;
const CONSECUTIVE: Row = { "grpc-xds": "gRPC ejects by success rate and failure percentage alone (gRFC A50)" };
const RANDOM = "gRPC has no random balancer by xDS; use round-robin";
const LATENCY = "latencies are not looked at there";
const MESSAGES = (who: string): string => `${who} does not read messages; use a header`;
const READ_BY_GATEWAYS =
  "of messages the gateway reads those alone that it makes of REST; gRPC that it passes on goes by the other keys";
const COOKIES = "cookies are made at the gateway; elsewhere those go by it that the caller has";
const OWN_CALLS = "a client's calls have one caller; they would all go to one endpoint, and so go anywhere";
const HEADERS = "gRPC hashes by header alone (gRFC A42)";
const GRPC_LIMITS = "gRPC bounds requests in flight alone (gRFC A32); use limits.maxInFlight";
const RESETS = (who: string): string => `${who} injects no resets; use abort`;
const INBOUND = "calls are admitted where they arrive: at the gateway and at services";
const OWN_QUOTA = 'a caller enforces its own quota alone; use enforcedBy: "client"';
const AT_THE_EDGE = "end users are authenticated at the gateway, and at services where policy says so";
const NO_SESSIONS = "typed clients make calls; sessions go through a gateway or a sidecar";
const ENVOY_HTTP = "Envoy is given HTTP and gRPC alone; weft's own gateways and sidecars carry sessions of bytes";
const FIXED_DELAYS = (who: string): string => `${who} delays by a fixed time; use fixed`;
const FAULT_FIELDS = (who: string): string =>
  `${who} would take faults from anybody, by fields of its own; it takes none`;
const GRPC_STATUSES = "gRPC looks at gRPC statuses alone (gRFC A44); use their names";
const GRPC_LOCAL = "gRPC does not tell local failures from others (gRFC A50)";
const NOT_VERIFIED = (what: string): string =>
  `Envoy verifies no ${what}, and lets nobody in by them; call a gateway of weft's`;
const TIMED_HEDGES =
  "Envoy hedges only when an attempt is over its time, not after a quantile or a duration; use onTryTimeout with a perTryTimeout";
const AT_ONCE = "Envoy counts retries under way at once, whatever the time";
const KEYLESS = (what: string): string =>
  `Envoy's limits have no key of ${what}; such a limit is not enforced by it at all`;
const CALLED = "calls are authorized where they arrive: at the gateway and at services";

/**
 * Which field each place enforces: the one source for `weft check --for`, for what is said when a revision is published, and for translation to xDS, so that
 * nothing is dropped in silence. A field takes the row of its longest beginning; a value has a row of its own ("kind=p2c"). What a place is not named for in a
 * row it enforces; a text says why it does not, and what to use instead.
 *
 * Sources: Envoy's v3 API (config.route.v3.RouteAction, RetryPolicy, HedgePolicy; config.cluster.v3.CircuitBreakers, OutlierDetection; the HTTP filters fault,
 * local_ratelimit, ratelimit, jwt_authn, rbac, oauth2, ext_authz, csrf and cors); gRPC's doc/grpc_xds_features.md and gRFCs A27, A28, A31, A32, A33, A41, A42, A44,
 * A50, A55, A58.
 */
export const ENFORCEMENT: Readonly<Record<string, Row>> = {
  HTTPRoute: { server: ROUTED, "grpc-xds": "gRPC clients follow a GRPCRoute of their service; write one" },
  "HTTPRoute.rules.filters.type=CORS": { client: BROWSERS, sidecar: BROWSERS },
  GRPCRoute: { server: ROUTED },
  "GRPCRoute.hostnames": {
    client: HOSTS,
    sidecar: HOSTS,
    "grpc-xds": "gRPC clients choose the route by the name they dial",
  },
  "GRPCRoute.rules.matches.headers": {},
  "GRPCRoute.rules.filters": {
    "grpc-xds": "xDS in gRPC has no header changes and no mirrors; use a gateway or sidecars",
  },
  "HTTPRoute.rules.sessionPersistence.idleTimeout": { envoy: "Envoy's sessions do not end by being idle" },
  "GRPCRoute.rules.backendRefs.filters": { "grpc-xds": "xDS in gRPC has no header changes; use a gateway or sidecars" },
  "GRPCRoute.rules.sessionPersistence": {
    "grpc-xds": "grpc-go and grpc-js keep no sessions; use ring-hash by a header",
  },
  "GRPCRoute.rules.sessionPersistence.idleTimeout": { envoy: "Envoy's sessions do not end by being idle" },

  TCPRoute: {
    client: NO_SESSIONS,
    server: ROUTED,
    envoy: ENVOY_HTTP,
    "grpc-xds": "gRPC clients make calls, no sessions",
  },
  UDPRoute: {
    client: NO_SESSIONS,
    server: ROUTED,
    envoy: ENVOY_HTTP,
    "grpc-xds": "gRPC clients make calls, no sessions",
  },
  TLSRoute: {
    client: NO_SESSIONS,
    sidecar: "it is for listeners of the gateway; a sidecar carries TLS as TCP to the service that is named",
    server: ROUTED,
    envoy: ENVOY_HTTP,
    "grpc-xds": "gRPC clients make calls, no sessions",
  },

  TrafficPolicy: {},
  "TrafficPolicy.targetRefs": {},
  "TrafficPolicy.timeout": { server: CALLERS },
  "TrafficPolicy.perTryTimeout": {
    server: CALLERS,
    "grpc-xds": "gRPC has no time-out of one attempt (gRFC A44); use timeout",
  },
  "TrafficPolicy.idleTimeout": { server: CALLERS, "grpc-xds": "gRPC has no idle time-out of a call; use timeout" },
  "TrafficPolicy.retry": { server: CALLERS },
  "TrafficPolicy.retry.on=overflow": {
    envoy: "Envoy does not retry what its own limits refuse",
    "grpc-xds": "gRPC does not retry what its own limits refuse",
  },
  "TrafficPolicy.retry.on=timeout": { "grpc-xds": "gRPC has no time-out of one attempt (gRFC A44)" },
  "TrafficPolicy.retry.on=5xx": { "grpc-xds": GRPC_STATUSES },
  "TrafficPolicy.retry.on=gateway-error": { "grpc-xds": GRPC_STATUSES },
  "TrafficPolicy.retry.backoff.jitter": { envoy: JITTER("Envoy"), "grpc-xds": JITTER("gRPC") },
  "TrafficPolicy.retry.backoff.maxPushback": {
    envoy:
      "where a server asks for more, Envoy waits its own back-off in place of giving up; it does not know grpc-retry-pushback-ms",
    "grpc-xds": "gRPC follows every pushback",
  },
  "TrafficPolicy.retry.backoff.resetHeaders": { "grpc-xds": "gRPC knows pushback alone (grpc-retry-pushback-ms)" },
  "TrafficPolicy.retry.budget": {
    "grpc-xds": "gRPC has retry throttling in the service config, not by xDS; lower retry.attempts",
  },
  "TrafficPolicy.retry.budget.minPerSecond": { envoy: AT_ONCE },
  "TrafficPolicy.retry.budget.ttl": { envoy: AT_ONCE },
  "TrafficPolicy.retry.bufferBytes": { "grpc-xds": "gRPC's buffer is a channel option of each client" },
  "TrafficPolicy.hedge": {
    server: CALLERS,
    envoy: TIMED_HEDGES,
    "grpc-xds": "xDS in gRPC has no hedging; use typed clients or sidecars",
  },
  "TrafficPolicy.hedge.onTryTimeout": {},
  "TrafficPolicy.hedge.after": { envoy: TIMED_HEDGES },
  "TrafficPolicy.hedge.notBefore": { envoy: TIMED_HEDGES },
  "TrafficPolicy.hedge.max": { envoy: "Envoy makes as many as it may retry; use retry.attempts" },
  "TrafficPolicy.hedge.nonFatal": { envoy: "Envoy passes over the answers that it would retry; use retry.on" },
  "TrafficPolicy.hedge.nonIdempotent": { envoy: "Envoy hedges what it may retry; use retry.nonIdempotent" },
  "TrafficPolicy.hedge.ratio": { envoy: "Envoy pays for hedges as for retries; use retry.budget" },
  "TrafficPolicy.breaker": {
    server: CALLERS,
    envoy: "Envoy has no breaker that opens for a service; use outlier and limits",
    "grpc-xds": "gRPC has no breaker that opens for a service; use outlier and limits.maxInFlight",
  },
  "TrafficPolicy.outlier": { server: CALLERS },
  "TrafficPolicy.outlier.consecutive5xx": CONSECUTIVE,
  "TrafficPolicy.outlier.consecutiveGatewayFailure": CONSECUTIVE,
  "TrafficPolicy.outlier.consecutiveLocalOriginFailure": CONSECUTIVE,
  "TrafficPolicy.outlier.splitExternalLocalOriginErrors": CONSECUTIVE,
  "TrafficPolicy.outlier.enforcingConsecutive5xx": CONSECUTIVE,
  "TrafficPolicy.outlier.enforcingConsecutiveGatewayFailure": CONSECUTIVE,
  "TrafficPolicy.outlier.enforcingConsecutiveLocalOriginFailure": CONSECUTIVE,
  "TrafficPolicy.outlier.enforcingLocalOriginSuccessRate": { "grpc-xds": GRPC_LOCAL },
  "TrafficPolicy.outlier.enforcingFailurePercentageLocalOrigin": { "grpc-xds": GRPC_LOCAL },
  "TrafficPolicy.balancer": { server: CALLERS },
  "TrafficPolicy.balancer.kind=p2c": {
    envoy: "Envoy's least_request compares calls in flight, not latency; use least-request",
    "grpc-xds": "use least-request or round-robin",
  },
  "TrafficPolicy.balancer.kind=prequal": {
    envoy: "Envoy has no hot-cold rule; use least-request or by-load",
    "grpc-xds": "gRPC has no hot-cold rule; use least-request or by-load",
  },
  "TrafficPolicy.balancer.kind=random": { "grpc-xds": RANDOM },
  "TrafficPolicy.balancer.kind=weighted-random": {
    envoy: "Envoy's random does not look at weights; use weighted-round-robin",
    "grpc-xds": RANDOM,
  },
  "TrafficPolicy.balancer.kind=maglev": { "grpc-xds": "gRPC hashes by ring alone (gRFC A42); use ring-hash" },
  "TrafficPolicy.balancer.prequal": {
    envoy: "Envoy has no hot-cold rule; use least-request or by-load",
    "grpc-xds": "gRPC has no hot-cold rule; use least-request or by-load",
  },
  "TrafficPolicy.balancer.decay": { envoy: LATENCY, "grpc-xds": LATENCY },
  "TrafficPolicy.balancer.boundedLoad": { "grpc-xds": "gRPC's ring_hash has no bounded loads" },
  "TrafficPolicy.balancer.tableSize": { "grpc-xds": "gRPC hashes by ring alone (gRFC A42); use ring-hash" },
  "TrafficPolicy.balancer.hash.path": { client: COOKIES, sidecar: COOKIES, "grpc-xds": HEADERS },
  "TrafficPolicy.balancer.hash.ttl": { client: COOKIES, sidecar: COOKIES, "grpc-xds": HEADERS },
  "TrafficPolicy.balancer.hash.by=message": {
    sidecar: MESSAGES("a sidecar"),
    gateway: READ_BY_GATEWAYS,
    envoy: MESSAGES("Envoy"),
    "grpc-xds": MESSAGES("gRPC"),
  },
  "TrafficPolicy.balancer.hash.by=cookie": { "grpc-xds": HEADERS },
  "TrafficPolicy.balancer.hash.by=query": { "grpc-xds": HEADERS },
  "TrafficPolicy.balancer.hash.by=address": { client: OWN_CALLS, "grpc-xds": HEADERS },
  "TrafficPolicy.balancer.hash.by=identity": {
    client: OWN_CALLS,
    envoy: "Envoy hashes by header, cookie, query or address",
    "grpc-xds": HEADERS,
  },
  "TrafficPolicy.balancer.slowStart": { "grpc-xds": "gRPC's balancers have no slow start" },
  "TrafficPolicy.balancer.subset": { "grpc-xds": "gRPC has no subsets by metadata; use versions as backends" },
  "TrafficPolicy.balancer.subset.match.*.header": {
    envoy: "Envoy's subsets go by fixed values; use routes that match the header, to versions",
  },
  "TrafficPolicy.balancer.subsetSize": {
    envoy: "Envoy has no deterministic subsetting",
    "grpc-xds": "gRPC uses every endpoint that it is told of",
  },
  "TrafficPolicy.balancer.panicThreshold": { "grpc-xds": "gRPC has no panic threshold" },
  "TrafficPolicy.balancer.overprovisioning": { "grpc-xds": "gRPC does not overprovision" },
  "TrafficPolicy.balancer.zones.routing=aware": {
    envoy:
      'Envoy keeps calls in its zone only where its own cluster is in its bootstrap, and it is not; use routing: "failover"',
    "grpc-xds": 'gRPC takes zones by their weights alone; use routing: "failover"',
  },
  "TrafficPolicy.limits": { server: CALLERS },
  "TrafficPolicy.limits.maxInFlightPerEndpoint": {
    envoy: "Envoy's per_host_thresholds bound connections alone; use maxConnections with maxStreams",
    "grpc-xds": GRPC_LIMITS,
  },
  "TrafficPolicy.limits.maxRetries": { "grpc-xds": GRPC_LIMITS },
  "TrafficPolicy.limits.maxConnections": { "grpc-xds": GRPC_LIMITS },
  "TrafficPolicy.limits.maxPending": { "grpc-xds": GRPC_LIMITS },
  "TrafficPolicy.limits.maxStreams": { "grpc-xds": GRPC_LIMITS },
  "TrafficPolicy.fallback": {
    server: CALLERS,
    envoy: "Envoy has no fallback answers; use a gateway or typed clients",
    "grpc-xds": "gRPC has no fallback answers; use typed clients",
  },
  "TrafficPolicy.fault": { server: CALLERS },
  "TrafficPolicy.fault.reset": { envoy: RESETS("Envoy"), "grpc-xds": RESETS("gRPC") },
  "TrafficPolicy.fault.throttle": { "grpc-xds": "gRPC injects delays and aborts alone (gRFC A33)" },
  "TrafficPolicy.fault.byHeader": { envoy: FAULT_FIELDS("Envoy"), "grpc-xds": FAULT_FIELDS("gRPC") },
  "TrafficPolicy.fault.delay.min": { envoy: FIXED_DELAYS("Envoy"), "grpc-xds": FIXED_DELAYS("gRPC") },
  "TrafficPolicy.fault.delay.max": { envoy: FIXED_DELAYS("Envoy"), "grpc-xds": FIXED_DELAYS("gRPC") },
  "TrafficPolicy.fault.delay.mean": { envoy: FIXED_DELAYS("Envoy"), "grpc-xds": FIXED_DELAYS("gRPC") },
  "TrafficPolicy.cache": {
    server: "answers are cached at gateways",
    client: "answers are cached at gateways",
    sidecar: "answers are cached at gateways",
    envoy: "Envoy's cache filter is experimental and not translated",
    "grpc-xds": "gRPC has no cache",
  },
  "TrafficPolicy.proxyProtocol": {
    client: NO_SESSIONS,
    server: CALLERS,
    envoy: ENVOY_HTTP,
    "grpc-xds": "gRPC clients make calls, no sessions",
  },
  "TrafficPolicy.mtls": {
    "grpc-xds": "gRPC clients without a sidecar call in plain text; they reach permissive services alone",
  },
  "TrafficPolicy.admission": {
    client: INBOUND,
    sidecar: INBOUND,
    envoy: "Envoy's admission control goes by success rate; use the gateway or the services' own admission",
    "grpc-xds": "gRPC has no admission control by load",
  },
  "TrafficPolicy.concurrency": {
    envoy:
      "Envoy's adaptive concurrency lets a few calls at once through to find the time without load, which is another rule; use limits.maxInFlight",
    "grpc-xds": "gRPC has no adaptive concurrency",
  },
  "TrafficPolicy.concurrency.enforcedBy=server": { client: INBOUND, sidecar: INBOUND, gateway: INBOUND },
  "TrafficPolicy.concurrency.enforcedBy=caller": { server: CALLERS },

  RateLimit: { "grpc-xds": "rate limits of gRPC (RLQS) are not translated; use the gateway or the services' own" },
  "RateLimit.enforcedBy=gateway": {
    client: OWN_QUOTA,
    sidecar: OWN_QUOTA,
    server: 'use enforcedBy: "server" or "both"',
  },
  "RateLimit.enforcedBy=both": {
    client: OWN_QUOTA,
    sidecar: OWN_QUOTA,
    envoy:
      "Envoys do not tell each other what they have counted, so that a service's counts again what its gateway let through",
  },
  "RateLimit.enforcedBy=server": {
    client: OWN_QUOTA,
    sidecar: OWN_QUOTA,
    gateway: 'use enforcedBy: "gateway" or "both"',
  },
  "RateLimit.enforcedBy=client": {
    gateway: "it is a caller's own quota",
    server: "it is a caller's own quota",
  },
  "RateLimit.algorithm=sliding-window": { envoy: "Envoy's local limits are token buckets" },
  "RateLimit.algorithm=concurrency": {
    envoy: "Envoy bounds requests in flight by circuit breakers; use limits.maxInFlight",
  },
  "RateLimit.hot": { envoy: "Envoy has no hot-key limits" },
  "RateLimit.scope=system": {
    envoy: "each Envoy counts for itself; limits of the whole system are for weft's gateways",
  },
  "RateLimit.headers=true": { envoy: 'Envoy writes the fields of older drafts; use "legacy"' },
  "RateLimit.cost.methods": { envoy: "every call costs the same at Envoy; use limits of methods" },
  "RateLimit.cost.header": { envoy: "every call costs the same at Envoy" },
  "RateLimit.cost.max": { envoy: "every call costs the same at Envoy" },
  "RateLimit.maxQueue": { envoy: "Envoy refuses, it does not queue" },
  "RateLimit.maxWait": { envoy: "Envoy refuses, it does not queue" },
  "RateLimit.key.by=field": { envoy: KEYLESS("message fields") },
  "RateLimit.key.by=cookie": { envoy: KEYLESS("cookies") },
  "RateLimit.key.by=path": { envoy: KEYLESS("paths") },
  "RateLimit.key.field": { envoy: KEYLESS("message fields") },
  "RateLimit.key.cookie": { envoy: KEYLESS("cookies") },
  "RateLimit.key.segment": { envoy: KEYLESS("paths") },

  Authentication: {
    client: AT_THE_EDGE,
    sidecar: AT_THE_EDGE,
    "grpc-xds": "gRPC verifies no tokens; use the services' own",
  },
  "Authentication.providers.apiKey": { envoy: NOT_VERIFIED("API keys") },
  "Authentication.providers.hmac": { envoy: NOT_VERIFIED("HMAC signatures") },
  "Authentication.providers.basic": { envoy: NOT_VERIFIED("passwords") },
  "Authentication.providers.mtls": {
    envoy: NOT_VERIFIED("callers by their certificates; name peers in an Authorization"),
  },
  "Authentication.providers.oidc": { envoy: NOT_VERIFIED("logins") },
  "Authentication.providers.jwt.secret": { envoy: NOT_VERIFIED("tokens by a shared secret; use jwks") },
  "Authentication.providers.jwt.cacheFor": { envoy: "Envoy verifies each token anew" },
  Authorization: { client: CALLED, sidecar: CALLED, "grpc-xds": CALLED },
  "Authorization.rules.when": {
    envoy: "Envoy judges no conditions in CEL: an allow rule with one lets nobody in, a deny rule holds without it",
  },
  "Authorization.rules.external.cacheFor": { envoy: "Envoy asks for each call" },
  Objective: {
    server: "calls are counted as their callers see them: at the client, the sidecar or the gateway",
    envoy: "Envoy counts nothing against objectives; take them from weft's gateways and clients",
    "grpc-xds": "gRPC counts nothing against objectives; take them from weft's gateways and clients",
  },
};

export interface NotEnforced {
  /** In the resource: ["spec", "hedge"]. */
  readonly path: readonly (string | number)[];
  /** "TrafficPolicy.hedge" */
  readonly field: string;
  readonly why: string;
}

/** The fields of a resource that a place does not enforce, the outermost of each. */
export function notEnforced(resource: Resource, plane: DataPlane): NotEnforced[] {
  const found: NotEnforced[] = [];
  const visit = (value: unknown, path: readonly (string | number)[], key: string): void => {
    const row = rowOf(key, value);
    // A resource, or a part of one, that is not enforced at all is told once.
    if (row !== null && plane in row && IN_PART[key]?.(value, plane) !== true) {
      found.push({ path, field: key, why: row[plane] ?? "" });
      return;
    }
    if (Array.isArray(value)) for (const [i, item] of value.entries()) visit(item, [...path, i], key);
    else if (isObject(value))
      for (const [name, item] of Object.entries({ ...DEFAULTS[key], ...value }))
        visit(item, [...path, name], `${key}.${NAMED.has(key) ? "*" : name}`);
  };
  visit(resource.spec, ["spec"], resource.kind);
  return found;
}

/** Whether the table says anything of a field, so that a new one is not taken for enforced everywhere. */
export function isTabled(key: string): boolean {
  return Object.hasOwn(ENFORCEMENT, key);
}

/** What has names of people's own for fields. */
const NAMED: ReadonlySet<string> = new Set(["TrafficPolicy.balancer.subset.match"]);

/** Written or not, this holds. */
const DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  RateLimit: { enforcedBy: "gateway" },
  "TrafficPolicy.hedge": { after: "p95" },
};

/** Where a place does not leave out the whole of a field, because of what is written in it: its parts have rows of their own. */
const IN_PART: Readonly<Record<string, (value: unknown, plane: DataPlane) => boolean>> = {
  "TrafficPolicy.hedge": (value, plane) => plane === "envoy" && isObject(value) && value.onTryTimeout === true,
};

function rowOf(key: string, value: unknown): Row | null {
  const ofValue = `${key}=${String(value)}`;
  if ((typeof value === "string" || value === true) && Object.hasOwn(ENFORCEMENT, ofValue)) return ENFORCEMENT[ofValue];
  if (Object.hasOwn(ENFORCEMENT, key)) return ENFORCEMENT[key];
  return null;
}
