import type { Resource } from "../../../policy/resource/resources.ts";

/* For tests: resources with every field of every kind, each with a value that is not its default. */

const gatewayApi = "gateway.networking.k8s.io/v1";
const weftApi = "weftmesh.dev/v1";
const products = [{ kind: "Service", name: "products" }];
let n = 0;

function made(apiVersion: string, kind: string, spec: object, helper = false): Resource {
  const name = `${kind.toLowerCase()}-${n++}`;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(helper ? { labels: { helper: "true" } } : {}) },
    spec,
  } as unknown as Resource;
}

const traffic = (spec: object): Resource => made(weftApi, "TrafficPolicy", { targetRefs: products, ...spec });
const limit = (spec: object): Resource => made(weftApi, "RateLimit", { targetRefs: products, requests: 10, ...spec });
const authentication = (provider: object, more: object = {}): Resource =>
  made(weftApi, "Authentication", { targetRefs: products, at: ["gateway"], providers: [provider], ...more });
const authorization = (rule: object, more: object = {}): Resource =>
  made(weftApi, "Authorization", { targetRefs: products, at: ["gateway"], rules: [rule], ...more });

const helper = (provider: object): Resource =>
  made(
    weftApi,
    "Authentication",
    { targetRefs: products, at: ["gateway", "server"], optional: true, providers: [provider] },
    true,
  );

const modifier = { set: [{ name: "x-set", value: "a" }], add: [{ name: "x-add", value: "b" }], remove: ["x-gone"] };
const values = [
  { name: "x-exact", value: "a" },
  { type: "RegularExpression", name: "x-like", value: "a.*" },
];
const modifiers = [
  { type: "RequestHeaderModifier", requestHeaderModifier: modifier },
  { type: "ResponseHeaderModifier", responseHeaderModifier: modifier },
];
const mirror = { type: "RequestMirror", requestMirror: { backendRef: { name: "standby@v2", weight: 1 }, percent: 40 } };
const fraction = {
  type: "RequestMirror",
  requestMirror: { backendRef: { name: "standby" }, fraction: { numerator: 1, denominator: 4 } },
};
const parents = [
  { kind: "Gateway", name: "g" },
  { kind: "Service", name: "products" },
];
const session = {
  sessionName: "s",
  type: "Cookie",
  absoluteTimeout: "1h",
  idleTimeout: "5m",
  cookieConfig: { lifetimeType: "Permanent" },
};

/** The issuer whose tokens rules are about. */
const ISSUER = helper({
  jwt: { issuer: "https://id.test", jwks: { inline: { keys: [{ kty: "EC", crv: "P-256", x: "AQ", y: "Ag" }] } } },
});

export const SAMPLES: readonly Resource[] = [
  made(gatewayApi, "HTTPRoute", {
    parentRefs: parents,
    hostnames: ["shop.example"],
    rules: [
      {
        name: "main",
        matches: [{ path: { type: "PathPrefix", value: "/v1" }, method: "POST", headers: values, queryParams: values }],
        filters: [
          ...modifiers,
          mirror,
          fraction,
          {
            type: "URLRewrite",
            urlRewrite: { hostname: "in.example", path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/x" } },
          },
          {
            type: "CORS",
            cors: {
              allowOrigins: ["https://a.example"],
              allowCredentials: true,
              allowMethods: ["PUT"],
              allowHeaders: ["x-a"],
              exposeHeaders: ["x-b"],
              maxAge: 60,
            },
          },
        ],
        backendRefs: [{ name: "products@v1", weight: 3, filters: modifiers }, { name: "products@v2" }],
        timeouts: { request: "3s", backendRequest: "1s" },
        retry: { codes: [500], attempts: 4, backoff: "40ms" },
        sessionPersistence: session,
      },
      {
        matches: [{ path: { type: "Exact", value: "/full" } }],
        filters: [{ type: "URLRewrite", urlRewrite: { path: { type: "ReplaceFullPath", replaceFullPath: "/y" } } }],
        backendRefs: [{ name: "products" }],
        sessionPersistence: { sessionName: "x-s", type: "Header" },
      },
      {
        matches: [{ path: { type: "PathPrefix", value: "/old" } }],
        filters: [
          {
            type: "RequestRedirect",
            requestRedirect: {
              scheme: "https",
              hostname: "new.example",
              port: 8443,
              statusCode: 301,
              path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/now" },
            },
          },
        ],
      },
      {
        matches: [{ path: { type: "Exact", value: "/older" } }],
        filters: [
          { type: "RequestRedirect", requestRedirect: { path: { type: "ReplaceFullPath", replaceFullPath: "/z" } } },
        ],
      },
    ],
  }),
  made(gatewayApi, "GRPCRoute", {
    parentRefs: parents,
    hostnames: ["grpc.example"],
    rules: [
      {
        name: "main",
        matches: [{ method: { type: "Exact", service: "p.Products", method: "Get" }, headers: values }],
        filters: [...modifiers, mirror, fraction],
        backendRefs: [{ name: "products@v1", weight: 3, filters: modifiers }, { name: "products@v2" }],
        sessionPersistence: session,
      },
      {
        matches: [{ method: { service: "p.Products", method: "Put" } }],
        backendRefs: [{ name: "products" }],
        sessionPersistence: { sessionName: "x-s", type: "Header" },
      },
    ],
  }),
  made(gatewayApi, "TCPRoute", {
    parentRefs: parents,
    rules: [{ name: "a", backendRefs: [{ name: "products", weight: 2 }] }],
  }),
  made(gatewayApi, "UDPRoute", {
    parentRefs: parents,
    rules: [{ name: "a", backendRefs: [{ name: "products", weight: 2 }] }],
  }),
  made(gatewayApi, "TLSRoute", {
    parentRefs: parents,
    hostnames: ["tls.example"],
    rules: [{ name: "a", backendRefs: [{ name: "products", weight: 2 }] }],
  }),
  traffic({ timeout: "3s", perTryTimeout: "1s", idleTimeout: "20s" }),
  traffic({
    retry: {
      attempts: 3,
      on: ["503", "unavailable", "aborted"],
      nonIdempotent: true,
      backoff: {
        base: "30ms",
        max: "700ms",
        jitter: 0.5,
        maxPushback: "9s",
        resetHeaders: [{ name: "x-reset", format: "seconds" }],
      },
      budget: { ratio: 0.3, minPerSecond: 4, ttl: "30s" },
      bufferBytes: 1_000,
    },
  }),
  traffic({
    perTryTimeout: "1s",
    hedge: {
      enabled: true,
      after: "30ms",
      notBefore: "2ms",
      max: 2,
      nonFatal: ["503"],
      nonIdempotent: true,
      onTryTimeout: true,
      ratio: 0.1,
    },
  }),
  traffic({
    outlier: {
      enabled: true,
      consecutive5xx: 3,
      consecutiveGatewayFailure: 3,
      consecutiveLocalOriginFailure: 3,
      splitExternalLocalOriginErrors: true,
      interval: "9s",
      baseEjectionTime: "9s",
      maxEjectionTime: "90s",
      maxEjectionPercent: 50,
      successRateMinimumHosts: 2,
      successRateRequestVolume: 20,
      successRateStdevFactor: 1_000,
      failurePercentageThreshold: 40,
      failurePercentageMinimumHosts: 2,
      failurePercentageRequestVolume: 20,
      enforcingConsecutive5xx: 50,
      enforcingConsecutiveGatewayFailure: 50,
      enforcingConsecutiveLocalOriginFailure: 50,
      enforcingSuccessRate: 50,
      enforcingLocalOriginSuccessRate: 50,
      enforcingFailurePercentage: 50,
      enforcingFailurePercentageLocalOrigin: 50,
    },
  }),
  traffic({ balancer: { kind: "p2c", decay: "5s" } }),
  traffic({
    balancer: {
      kind: "least-request",
      leastRequest: { choices: 4, scan: "full", activeRequestBias: 0.5 },
      slowStart: { window: "20s", aggression: 2, minWeight: 0.2 },
      panicThreshold: 0.3,
      overprovisioning: 2,
      priorityFrom: "level",
      subsetSize: 2,
    },
  }),
  traffic({
    balancer: { kind: "prequal", prequal: { rifQuantile: 0.5, poolSize: 8, probesPerCall: 2, maxAge: "2s" } },
  }),
  traffic({
    balancer: {
      kind: "by-load",
      load: { utilization: "cpu", blackout: "5s", expiration: "1m", updatePeriod: "2s", errorPenalty: 2 },
    },
  }),
  traffic({
    balancer: {
      kind: "ring-hash",
      ring: { minSize: 10, maxSize: 100 },
      boundedLoad: 1.5,
      hash: [
        { by: "header", name: "x-user", terminal: true },
        { by: "cookie", name: "c", ttl: "1h", path: "/a" },
        { by: "query", name: "q" },
        { by: "address" },
        { by: "identity" },
        { by: "message", name: "user.id" },
      ],
    },
  }),
  traffic({ balancer: { kind: "maglev", tableSize: 251, hash: [{ by: "header", name: "x-user" }] } }),
  traffic({ balancer: { kind: "round-robin", zones: { routing: "failover", order: ["z2"] } } }),
  traffic({ balancer: { kind: "round-robin", zones: { routing: "aware", minEndpoints: 2 } } }),
  traffic({ balancer: { kind: "weighted-round-robin" } }),
  traffic({ balancer: { kind: "random" } }),
  traffic({ balancer: { kind: "weighted-random" } }),
  traffic({
    balancer: {
      kind: "round-robin",
      subset: { match: { tier: "gold" }, fallback: "default", default: { tier: "silver" } },
    },
  }),
  traffic({
    balancer: { kind: "round-robin", subset: { match: { tier: { header: "x-tier" } }, fallback: "none" } },
  }),
  traffic({
    limits: {
      maxInFlight: 10,
      maxInFlightPerEndpoint: 5,
      maxRetries: 3,
      maxConnections: 4,
      maxPending: 6,
      maxStreams: 7,
    },
  }),
  traffic({ fallback: { status: 203 } }),
  traffic({
    fault: {
      enabled: true,
      delay: { fixed: "10ms", percent: 5 },
      abort: { status: 502, percent: 6 },
      reset: { percent: 7 },
      throttle: { bytesPerSecond: 10_240, percent: 8 },
      match: [{ name: "x-fault", value: "1" }],
      byHeader: { callers: ["spiffe://shop/orders"], maxPercent: 50 },
      maxActive: 9,
    },
  }),
  traffic({ fault: { delay: { min: "1ms", max: "2ms" }, abort: { grpcStatus: "aborted" } } }),
  traffic({ fault: { delay: { mean: "1ms" } } }),
  traffic({ cache: {} }),
  traffic({ admission: { priority: 3 } }),
  traffic({ breaker: {} }),
  traffic({ mtls: "strict" }),
  traffic({ proxyProtocol: "v2" }),
  traffic({ concurrency: { algorithm: "gradient2", enforcedBy: "caller", min: 3 } }),
  traffic({ concurrency: { algorithm: "vegas", enforcedBy: "both", min: 3 } }),
  limit({
    per: "2s",
    burst: 20,
    scope: "system",
    mode: "enforce",
    headers: "legacy",
    maxKeys: 5,
    enforcedBy: "gateway",
  }),
  limit({
    key: [
      { by: "header", header: "x-key" },
      { by: "query", query: "q" },
      { by: "address", ipv4Prefix: 24, ipv6Prefix: 48 },
      { by: "identity" },
    ],
    cost: { fixed: 2, methods: { "p.Products/Get": 3 }, header: "x-cost", max: 9 },
    exceptions: [{ value: ["a", "b", "10.0.0.0", "c"], requests: 20, burst: 30 }],
    hot: { share: 0.5, requests: 1, burst: 2, window: "5s", minCalls: 3 },
    mode: "shadow",
    enforcedBy: "server",
  }),
  limit({ key: { by: "claim", claim: "tenant" }, maxKeys: 7 }),
  limit({ key: { by: "subject" } }),
  limit({ key: { by: "cookie", cookie: "c" } }),
  limit({ key: { by: "path", segment: 2 } }),
  limit({ key: { by: "field", field: "a.b" } }),
  limit({ key: { by: "all" }, cost: 3 }),
  limit({ algorithm: "gcra", maxWait: "1s" }),
  limit({ algorithm: "sliding-window" }),
  limit({ algorithm: "concurrency", maxWait: "1s", maxQueue: 3 }),
  limit({ enforcedBy: "both", headers: true }),
  limit({ enforcedBy: "client" }),
  ISSUER,
  authentication(
    {
      jwt: {
        issuer: "https://id.test",
        audiences: ["a"],
        jwks: { url: "https://id.test/keys", refresh: "1m", cooldown: "9s" },
        algorithms: ["RS256"],
        leeway: "9s",
        requiredClaims: [
          { claim: "a", equals: "x" },
          { claim: "b", in: ["x", "y"] },
          { claim: "c", contains: "x" },
          { claim: "d", exists: true },
        ],
        requireExpiry: false,
        type: "at+jwt",
        from: [{ header: "x-token", scheme: "JWT" }, { cookie: "c" }],
        cacheFor: "5m",
      },
      claimHeaders: [{ claim: "sub", header: "x-sub" }],
      forwardToken: false,
    },
    { optional: true },
  ),
  authentication({ jwt: { issuer: "https://id.test", jwks: { file: "/keys.json" }, from: [{ query: "q" }] } }),
  authentication({
    jwt: { issuer: "https://id.test", jwks: { inline: { keys: [{ kty: "RSA", n: "AQ", e: "AQAB" }] } } },
  }),
  authentication({ jwt: { issuer: "https://id.test", secret: { env: "KEY" } } }),
  authentication({ jwt: { issuer: "https://id.test", secret: { file: "/key" } } }),
  authentication({ apiKey: { consumers: [{ name: "a", sha256: "a".repeat(64) }] } }),
  authentication({ hmac: { keys: [{ id: "a", secret: { env: "KEY" } }] } }),
  authentication({ basic: { file: "/users" } }),
  authentication({ mtls: { trustDomains: ["shop"] } }),
  authentication({ oidc: { issuer: "https://id.test", clientId: "c", cookieKeys: [{ env: "KEY" }] } }),
  authorization({
    name: "a",
    action: "allow",
    peers: ["spiffe://shop/orders"],
    authenticatedBy: ["*"],
    subjects: ["u*"],
    issuers: ["https://id.test"],
    claims: [
      { claim: "a", equals: "x" },
      { claim: "b", in: ["x"] },
      { claim: "c", contains: "x" },
      { claim: "d", exists: false },
    ],
    services: ["products"],
    methods: ["GET", "p.Products/Get"],
    paths: ["/v1/*"],
    hosts: ["*.shop.example"],
    networks: ["10.0.0.0/8"],
    headers: [
      { name: "a", equals: "x" },
      { name: "b", in: ["x"] },
      { name: "c", prefix: "x" },
      { name: "d", contains: "x" },
      { name: "e", exists: true },
    ],
  }),
  authorization({ action: "deny", when: "request.path == '/'", paths: ["/a"] }, { default: "deny" }),
  authorization({ action: "allow", when: "request.path == '/'" }),
  authorization({ action: "audit", paths: ["/a"] }),
  authorization({
    action: "external",
    external: {
      http: { url: "http://authz.test:9/check" },
      timeout: "1s",
      fail: "open",
      cacheFor: "1s",
      sendHeaders: ["x-a"],
      upstreamHeaders: ["x-b"],
      downstreamHeaders: ["x-c"],
    },
  }),
  authorization({ action: "external", external: { grpc: { address: "authz.test:9", tls: true } } }),
  made(weftApi, "Objective", { targetRefs: products, availability: { target: 99 } }),
];
