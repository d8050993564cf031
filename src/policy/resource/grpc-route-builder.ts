import {
  GATEWAY_API,
  type GRPCRoute,
  type GRPCRouteRule,
  type Resource,
  type RouteFilter,
  type ValueMatch,
} from "./resources.ts";
import {
  type BackendInput,
  backendRefs,
  type HeaderChanges,
  headerModifier,
  nameOf,
  type SessionInput,
  sessionOf,
  valueMatch,
} from "./route-builder.ts";

/**
 * Makes a GRPCRoute of one rule. Every method gives a new builder and leaves the old one as it was. Time-outs and retries are a policy's:
 * traffic("shop.v1.Products/Get").
 *
 *     grpcRoute("shop.v1.Products/Get").to({ "products@v1": 9, "products@v2": 1 })
 */
export interface GrpcRouteBuilder {
  /** Where calls go: a service or one of its versions ("products@v1"), or several with their shares; each with header changes of its own. */
  to(backend: BackendInput): GrpcRouteBuilder;
  /** Also this method, or all of this contract, under the same conditions. */
  or(method: string): GrpcRouteBuilder;
  /** Service and method are regular expressions (RE2) of whole names. */
  matching(): GrpcRouteBuilder;
  /** Only calls with this header: its value, or a regular expression (RE2) of the whole value. */
  header(name: string, value: string | { matches: string }): GrpcRouteBuilder;
  /** Only these hosts: "shop.example", "*.shop.example". */
  host(...hostnames: string[]): GrpcRouteBuilder;
  /** Changes the request's headers. */
  headers(changes: HeaderChanges): GrpcRouteBuilder;
  /** Changes the response's headers. */
  responseHeaders(changes: HeaderChanges): GrpcRouteBuilder;
  /** Sends a copy of `percent` (default 100) of the requests there and ignores the answers. */
  mirror(backend: string, percent?: number): GrpcRouteBuilder;
  /** Keeps a caller's calls with one endpoint. */
  sticky(session?: SessionInput): GrpcRouteBuilder;
  /** The resource's name, and what policies call its rule. Default: made of the method. */
  named(name: string): GrpcRouteBuilder;
  resources(): readonly Resource[];
}

/** Begins a route for a method ("shop.v1.Products/Get"), all of a contract ("shop.v1.Products"), or a method of any contract ("*\u002fGet"). */
export function grpcRoute(method: string): GrpcRouteBuilder {
  return make({
    name: nameOf(method),
    hostnames: [],
    methods: [method],
    matching: false,
    headers: [],
    rule: {},
    filters: [],
  });
}

interface Parts {
  readonly name: string;
  readonly hostnames: readonly string[];
  readonly methods: readonly string[];
  readonly matching: boolean;
  readonly headers: readonly ValueMatch[];
  readonly rule: GRPCRouteRule;
  readonly filters: readonly RouteFilter[];
}

function make(parts: Parts): GrpcRouteBuilder {
  const change = (changes: Partial<Parts>): GrpcRouteBuilder => make({ ...parts, ...changes });
  const rule = (changes: GRPCRouteRule): GrpcRouteBuilder => change({ rule: { ...parts.rule, ...changes } });
  const filter = (added: RouteFilter): GrpcRouteBuilder => change({ filters: [...parts.filters, added] });
  return {
    to: (backend) => rule({ backendRefs: backendRefs(backend) }),
    or: (method) => change({ methods: [...parts.methods, method] }),
    matching: () => change({ matching: true }),
    header: (name, value) => change({ headers: [...parts.headers, valueMatch(name, value)] }),
    host: (...hostnames) => change({ hostnames: [...parts.hostnames, ...hostnames] }),
    headers: (changes) => filter({ type: "RequestHeaderModifier", requestHeaderModifier: headerModifier(changes) }),
    responseHeaders: (changes) =>
      filter({ type: "ResponseHeaderModifier", responseHeaderModifier: headerModifier(changes) }),
    mirror: (backend, percent) =>
      filter({
        type: "RequestMirror",
        requestMirror: { backendRef: { name: backend }, ...(percent === undefined ? {} : { percent }) },
      }),
    sticky: (session) => rule({ sessionPersistence: sessionOf(session) }),
    named: (name) => change({ name }),
    resources: () => [resourceOf(parts)],
  };
}

function resourceOf({ name, hostnames, methods, matching, headers, rule, filters }: Parts): GRPCRoute {
  return {
    apiVersion: GATEWAY_API,
    kind: "GRPCRoute",
    metadata: { name },
    spec: {
      ...(hostnames.length === 0 ? {} : { hostnames }),
      rules: [
        {
          name: "main",
          matches: methods.map((method) => ({
            method: { ...(matching ? { type: "RegularExpression" } : {}), ...partsOf(method) },
            ...(headers.length === 0 ? {} : { headers }),
          })),
          ...(filters.length === 0 ? {} : { filters }),
          ...rule,
        },
      ],
    },
  };
}

/** "*" is any. */
function partsOf(text: string): { service?: string; method?: string } {
  const slash = text.indexOf("/");
  const service = slash < 0 ? text : text.slice(0, slash);
  const method = slash < 0 ? "*" : text.slice(slash + 1);
  return { ...(service === "*" ? {} : { service }), ...(method === "*" ? {} : { method }) };
}
