import fc from "fast-check";
import {
  type BackendRef,
  GATEWAY_API,
  type GRPCRouteMatch,
  type HTTPRouteMatch,
  type ParentRef,
  type Resource,
  type RouteFilter,
  type ValueMatch,
} from "../../src/policy/resource/resources.ts";
import type { Scope } from "./model.ts";
import { TRIAL } from "./raw-call.ts";

/* Routes whose conditions and requests meet: names, values and paths come from small sets, so that most are near misses of each other. */

export const HOSTS = ["shop.test", "api.shop.test", "other.test"];
export const PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/A", "/x/1", "/x/12/y", "/x/y"];
export const HTTP_METHODS = ["GET", "POST", "DELETE", "PUT"];
export const GRPC_METHODS = ["Read", "Replace", "Remove", "Mark"];
export const LANES = ["blue", "green", "blue1", ""];

const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined, freq: 3 });
const seldom = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
/** An object without the fields that are undefined. */
const record = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K] | undefined> }): fc.Arbitrary<T> =>
  fc.record(fields as never).map((made) => JSON.parse(JSON.stringify(made)) as T);

const headerMatch = fc.oneof(
  fc.constantFrom(...LANES.slice(0, 3)).map((value): ValueMatch => ({ name: "x-lane", value })),
  fc
    .constantFrom("blue.*", "(blue|green)", "[a-z]+")
    .map((value): ValueMatch => ({ type: "RegularExpression", name: "X-Lane", value })),
  fc.constantFrom("ann", "bob").map((value): ValueMatch => ({ name: "x-user", value })),
);
const queryMatch = fc.oneof(
  fc.constantFrom("1", "2", "a b").map((value): ValueMatch => ({ name: "q", value })),
  fc.constant<ValueMatch>({ type: "RegularExpression", name: "q", value: "[0-9]+" }),
);
const pathMatch = fc.oneof(
  fc.constantFrom("/", "/a", "/a/", "/a/b", "/x", "/ab").map((value) => ({ type: "PathPrefix" as const, value })),
  fc.constantFrom(...PATHS).map((value) => ({ type: "Exact" as const, value })),
  fc
    .constantFrom("/x/[0-9]+", "/x/.*", "/(a|b)(/.*)?", "/a.")
    .map((value) => ({ type: "RegularExpression" as const, value })),
);
const httpMatch = record<HTTPRouteMatch>({
  path: optional(pathMatch),
  method: fc.option(fc.constantFrom(...HTTP_METHODS), { nil: undefined, freq: 1 }),
  headers: fc.option(fc.array(headerMatch, { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 1 }),
  queryParams: fc.option(fc.array(queryMatch, { minLength: 1, maxLength: 1 }), { nil: undefined, freq: 1 }),
});
const grpcMatch = record<GRPCRouteMatch>({
  method: optional(
    fc.oneof(
      fc.constantFrom(...GRPC_METHODS).map((method) => ({ service: TRIAL, method })),
      fc.constant({ service: TRIAL }),
      fc.constantFrom(...GRPC_METHODS).map((method) => ({ method })),
      fc.constant({ type: "RegularExpression" as const, service: "weft\\..*", method: "R.*" }),
    ),
  ),
  headers: fc.option(fc.array(headerMatch, { minLength: 1, maxLength: 1 }), { nil: undefined, freq: 1 }),
});

const change = fc.oneof(
  fc.constantFrom("x-set", "x-add", "x-user").map((name) => ({ set: [{ name, value: "policy" }] })),
  fc.constantFrom("x-add", "x-set").map((name) => ({ add: [{ name, value: "more" }] })),
  fc.constantFrom("x-drop", "x-lane").map((name) => ({ remove: [name] })),
);
const modifier = fc.oneof(
  change.map((requestHeaderModifier): RouteFilter => ({ type: "RequestHeaderModifier", requestHeaderModifier })),
  change.map((responseHeaderModifier): RouteFilter => ({ type: "ResponseHeaderModifier", responseHeaderModifier })),
);
const mirror = fc
  .constantFrom(100, 0)
  .map(
    (percent): RouteFilter => ({ type: "RequestMirror", requestMirror: { backendRef: { name: "shadow" }, percent } }),
  );
const newPath = (prefixOnly: boolean) =>
  fc.oneof(
    fc
      .constantFrom("/full", "/full/x")
      .map((replaceFullPath) => ({ type: "ReplaceFullPath" as const, replaceFullPath })),
    ...(prefixOnly
      ? [
          fc
            .constantFrom("/new", "/new/", "/", "")
            .map((replacePrefixMatch) => ({ type: "ReplacePrefixMatch" as const, replacePrefixMatch })),
        ]
      : []),
  );
const rewrite = (prefixOnly: boolean): fc.Arbitrary<RouteFilter> =>
  record<{ hostname?: string; path?: never }>({
    hostname: optional(fc.constant("rewritten.test")),
    path: optional(newPath(prefixOnly)) as fc.Arbitrary<never>,
  }).map((urlRewrite): RouteFilter => ({ type: "URLRewrite", urlRewrite }));
const redirect = (prefixOnly: boolean): fc.Arbitrary<RouteFilter> =>
  record<Record<string, never>>({
    scheme: optional(fc.constantFrom("http", "https")) as never,
    hostname: optional(fc.constant("moved.test")) as never,
    port: fc.option(fc.constantFrom(80, 443, 8443), { nil: undefined, freq: 1 }) as never,
    path: optional(newPath(prefixOnly)) as never,
    statusCode: optional(fc.constantFrom(301, 302, 303, 307, 308)) as never,
  }).map((requestRedirect): RouteFilter => ({ type: "RequestRedirect", requestRedirect }));

const cors = record<Record<string, never>>({
  allowOrigins: fc.constantFrom(["https://shop.test"], ["https://*.shop.test"], ["*"]) as never,
  allowMethods: optional(fc.constantFrom(["PUT"], ["PUT", "DELETE"], ["*"])) as never,
  allowHeaders: optional(fc.constantFrom(["x-lane"], ["*"])) as never,
  exposeHeaders: optional(fc.constant(["x-set"])) as never,
  allowCredentials: optional(fc.boolean()) as never,
  maxAge: optional(fc.constantFrom(60)) as never,
}).map((made): RouteFilter => ({ type: "CORS", cors: made }));

const backends = (names: readonly string[], versions: string): fc.Arbitrary<BackendRef[]> =>
  fc.oneof(
    {
      weight: 16,
      arbitrary: fc
        .tuple(fc.constantFrom(...names), seldom(modifier))
        .map(([name, filter]): BackendRef[] => [{ name, ...(filter === undefined ? {} : { filters: [filter] }) }]),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom<[number, number]>([1, 1], [9, 1], [0, 1], [1, 0]).map(([v1, v2]) => [
        { name: `${versions}@v1`, weight: v1 },
        { name: `${versions}@v2`, weight: v2 },
      ]),
    },
    { weight: 1, arbitrary: fc.constant<BackendRef[]>([{ name: names[0], weight: 0 }]) },
  );

const timeouts = fc.oneof(
  fc.constantFrom("150ms", "1s").map((request) => ({ request })),
  fc.constant({ request: "5s", backendRequest: "120ms" }),
);
const retry = record<{ codes?: number[]; attempts?: number }>({
  codes: optional(fc.constantFrom([500], [503, 404], [])),
  attempts: optional(fc.constantFrom(0, 1, 3)),
});

function httpRule(scope: Scope) {
  return fc.array(httpMatch, { maxLength: 2 }).chain((matches) => {
    const prefixOnly = matches.every(({ path }) => (path?.type ?? "PathPrefix") === "PathPrefix");
    const serves = record<Record<string, never>>({
      filters: optional(
        fc
          .tuple(
            fc.array(modifier, { maxLength: 2 }),
            seldom(mirror),
            seldom(rewrite(prefixOnly)),
            scope === "edge" ? seldom(cors) : fc.constant(undefined),
          )
          .map(([changes, ...others]) => [...changes, ...others.filter((one) => one !== undefined)]),
      ) as never,
      backendRefs: backends(["web", "other", "split@v1", "split@v2", "closed", "gone"], "split") as never,
      timeouts: fc.option(timeouts) as never,
      retry: seldom(retry) as never,
    });
    const moves = redirect(prefixOnly).map((filter) => ({ filters: [filter] }));
    // Where a service is called by name, what answers instead is of no use.
    const rest: fc.Arbitrary<object> =
      scope === "edge" ? fc.oneof({ weight: 6, arbitrary: serves }, { weight: 1, arbitrary: moves }) : serves;
    return rest.map((made) => ({ ...(matches.length === 0 ? {} : { matches }), ...made }));
  });
}

const grpcRule = record<Record<string, never>>({
  matches: fc.array(grpcMatch, { maxLength: 2 }) as never,
  filters: optional(fc.array(modifier, { maxLength: 2 })) as never,
  backendRefs: backends(["rpc", "duo@v1", "duo@v2", "gone"], "duo") as never,
});

/** Routes for whoever calls in this scope; none where nothing is routed any more. */
export function anyRoutes(scope: Scope): fc.Arbitrary<Resource[]> {
  if (scope === "in") return fc.constant([]);
  const parents: ParentRef[] = [
    { kind: "Gateway", name: "gateway" },
    { kind: "Service", name: scope },
  ];
  const about = scope === "edge" ? {} : { parentRefs: parents };
  const hosts =
    scope === "edge"
      ? fc.option(fc.constantFrom([HOSTS[0]], ["*.shop.test"], [HOSTS[1], HOSTS[2]]), { nil: undefined, freq: 1 })
      : fc.constant(undefined);
  const routeOf = (kind: "HTTPRoute" | "GRPCRoute", rules: fc.Arbitrary<object[]>) =>
    fc.tuple(hosts, rules).map(([hostnames, made]) => ({
      apiVersion: GATEWAY_API,
      kind,
      spec: { ...about, ...(hostnames === undefined ? {} : { hostnames }), rules: made },
    }));
  const http = routeOf("HTTPRoute", fc.array(httpRule(scope), { minLength: 1, maxLength: 3 }));
  const grpc = routeOf("GRPCRoute", fc.array(grpcRule, { minLength: 1, maxLength: 3 }));
  const mix =
    scope === "rpc"
      ? grpc
      : scope === "web"
        ? http
        : fc.oneof({ weight: 3, arbitrary: http }, { weight: 1, arbitrary: grpc });
  return fc
    .array(mix, { minLength: scope === "edge" ? 1 : 0, maxLength: 3 })
    .map((made) => made.map((route, i) => ({ ...route, metadata: { name: `route-${i + 1}` } }) as unknown as Resource));
}
