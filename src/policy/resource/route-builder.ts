import { type RequiredClaims, type RouteRequirement, requirementResources } from "../security/route-requirement.ts";
import { durationText } from "./builder-parts.ts";
import {
  type BackendRef,
  type CORSFilter,
  type Duration,
  GATEWAY_API,
  type HeaderModifier,
  type HTTPRoute,
  type HTTPRouteMatch,
  type HTTPRouteRule,
  type RequestRedirect,
  type Resource,
  type RouteFilter,
  type SessionPersistence,
  type ValueMatch,
} from "./resources.ts";

/**
 * Makes an HTTPRoute of one rule. Every method gives a new builder and leaves the old one as it was.
 *
 *     route("/v1/products").to({ "products@v1": 95, "products@v2": 5 }).timeout("2s")
 */
export interface RouteBuilder {
  /** Where calls go: a service or one of its versions ("products@v1"), or several with their shares; each with header changes of its own. */
  to(backend: BackendInput): RouteBuilder;
  /** Only this HTTP method. */
  method(method: string): RouteBuilder;
  /** Only requests with this header: its value, or a regular expression (RE2) of the whole value. */
  header(name: string, value: string | { matches: string }): RouteBuilder;
  /** Only requests with this query parameter. */
  query(name: string, value: string | { matches: string }): RouteBuilder;
  /** Only these hosts: "shop.example", "*.shop.example". */
  host(...hostnames: string[]): RouteBuilder;
  /** This very path, not what is below it. */
  exact(): RouteBuilder;
  /** The path is a regular expression (RE2) that whole paths match: route("/v[0-9]+/orders").matching(). */
  matching(): RouteBuilder;
  /** Also this path, under the same conditions. */
  or(path: string): RouteBuilder;
  /** The whole call, and each attempt. Numbers are milliseconds. */
  timeout(request: Duration | number, backendRequest?: Duration | number): RouteBuilder;
  /** Retries beyond the first attempt; which HTTP statuses are retried. */
  retry(attempts: number, options?: { codes?: readonly number[]; backoff?: Duration | number }): RouteBuilder;
  /** Replaces the matched prefix of the path (with exact() or matching(): the path), and the host. */
  rewrite(path: string | { path?: string; host?: string }): RouteBuilder;
  /** Changes the request's headers. */
  headers(changes: HeaderChanges): RouteBuilder;
  /** Changes the response's headers. */
  responseHeaders(changes: HeaderChanges): RouteBuilder;
  /** Sends a copy of `percent` (default 100) of the requests there and ignores the answers; { numerator, denominator } for less than whole percents. */
  mirror(backend: string, percent?: number | { numerator: number; denominator?: number }): RouteBuilder;
  /** Lets web pages of other origins use it: origins, or the filter in full. */
  cors(origins: string | readonly string[] | CORSFilter): RouteBuilder;
  /** Keeps a caller's calls with one endpoint, by a cookie unless said otherwise. */
  sticky(session?: SessionInput): RouteBuilder;
  /** Only callers whom this provider knows ("jwt:shop", of an Authentication), with these claims; asked for several times, any provider suffices. */
  require(provider: string, claims?: RequiredClaims): RouteBuilder;
  /** Answers with a redirect in place of a backend. */
  redirect(to: RequestRedirect): RouteBuilder;
  /** The resource's name, and what policies call its rule. Default: made of the path. */
  named(name: string): RouteBuilder;
  resources(): readonly Resource[];
}

export interface HeaderChanges {
  set?: Readonly<Record<string, string>>;
  add?: Readonly<Record<string, string>>;
  remove?: readonly string[];
}

/** A service, or services with their shares, or with what else is said of a backend. */
export type BackendInput = string | Readonly<Record<string, number | BackendOptions>>;

export interface BackendOptions {
  /** Its share, default 1. */
  weight?: number;
  /** Changes of the request's headers, after the route's own. */
  headers?: HeaderChanges;
  responseHeaders?: HeaderChanges;
}

export interface SessionInput {
  /** Of the cookie or header. */
  name?: string;
  /** Default "cookie". */
  by?: "cookie" | "header";
  /** Ends a session that is not used for so long. Numbers are milliseconds. */
  idle?: Duration | number;
  /** Ends a session so long after it began. */
  atMost?: Duration | number;
  /** The browser keeps the cookie for `atMost`, also when it is closed. */
  permanent?: boolean;
}

/** Begins a route for `path` and everything below it. */
export function route(path: string): RouteBuilder {
  return make({
    name: nameOf(path),
    hostnames: [],
    paths: [path],
    type: "PathPrefix",
    match: {},
    rule: {},
    filters: [],
    rewrite: null,
    required: { providers: [], claims: {} },
  });
}

interface Parts {
  readonly name: string;
  readonly hostnames: readonly string[];
  readonly paths: readonly string[];
  readonly type: "PathPrefix" | "Exact" | "RegularExpression";
  readonly match: Omit<HTTPRouteMatch, "path">;
  readonly rule: HTTPRouteRule;
  readonly filters: readonly RouteFilter[];
  readonly rewrite: { readonly path?: string; readonly host?: string } | null;
  readonly required: RouteRequirement;
}

function make(parts: Parts): RouteBuilder {
  const change = (changes: Partial<Parts>): RouteBuilder => make({ ...parts, ...changes });
  const rule = (changes: HTTPRouteRule): RouteBuilder => change({ rule: { ...parts.rule, ...changes } });
  const match = (changes: Parts["match"]): RouteBuilder => change({ match: { ...parts.match, ...changes } });
  const filter = (added: RouteFilter): RouteBuilder => change({ filters: [...parts.filters, added] });
  return {
    to: (backend) => rule({ backendRefs: backendRefs(backend) }),
    method: (method) => match({ method: method.toUpperCase() }),
    header: (name, value) => match({ headers: [...(parts.match.headers ?? []), valueMatch(name, value)] }),
    query: (name, value) => match({ queryParams: [...(parts.match.queryParams ?? []), valueMatch(name, value)] }),
    host: (...hostnames) => change({ hostnames: [...parts.hostnames, ...hostnames] }),
    exact: () => change({ type: "Exact" }),
    matching: () => change({ type: "RegularExpression" }),
    or: (path) => change({ paths: [...parts.paths, path] }),
    timeout: (request, backendRequest) =>
      rule({
        timeouts: {
          request: durationText(request),
          ...(backendRequest === undefined ? {} : { backendRequest: durationText(backendRequest) }),
        },
      }),
    retry: (attempts, { codes, backoff } = {}) =>
      rule({
        retry: {
          attempts,
          ...(codes === undefined ? {} : { codes }),
          ...(backoff === undefined ? {} : { backoff: durationText(backoff) }),
        },
      }),
    rewrite: (to) => change({ rewrite: typeof to === "string" ? { path: to } : to }),
    headers: (changes) => filter({ type: "RequestHeaderModifier", requestHeaderModifier: headerModifier(changes) }),
    responseHeaders: (changes) =>
      filter({ type: "ResponseHeaderModifier", responseHeaderModifier: headerModifier(changes) }),
    mirror: (backend, percent) =>
      filter({
        type: "RequestMirror",
        requestMirror: {
          backendRef: { name: backend },
          ...(percent === undefined ? {} : typeof percent === "number" ? { percent } : { fraction: percent }),
        },
      }),
    cors: (origins) => filter({ type: "CORS", cors: corsFilter(origins) }),
    sticky: (session) => rule({ sessionPersistence: sessionOf(session) }),
    redirect: (to) => filter({ type: "RequestRedirect", requestRedirect: to }),
    named: (name) => change({ name }),
    require: (provider, claims = {}) =>
      change({
        required: {
          providers: [...parts.required.providers, provider],
          claims: { ...parts.required.claims, ...claims },
        },
      }),
    resources: () => [resourceOf(parts), ...requirementResources(parts.name, parts.required)],
  };
}

function resourceOf({ name, hostnames, paths, type, match, rule, filters, rewrite }: Parts): HTTPRoute {
  const all = [...filters];
  if (rewrite !== null) {
    const path = rewrite.path;
    all.push({
      type: "URLRewrite",
      urlRewrite: {
        ...(rewrite.host === undefined ? {} : { hostname: rewrite.host }),
        ...(path === undefined
          ? {}
          : {
              path:
                type === "PathPrefix"
                  ? { type: "ReplacePrefixMatch", replacePrefixMatch: path }
                  : { type: "ReplaceFullPath", replaceFullPath: path },
            }),
      },
    });
  }
  return {
    apiVersion: GATEWAY_API,
    kind: "HTTPRoute",
    metadata: { name },
    spec: {
      ...(hostnames.length === 0 ? {} : { hostnames }),
      rules: [
        {
          name: "main",
          matches: paths.map((path) => ({ path: { type, value: path }, ...match })),
          ...(all.length === 0 ? {} : { filters: all }),
          ...rule,
        },
      ],
    },
  };
}

export function backendRefs(backend: BackendInput): BackendRef[] {
  if (typeof backend === "string") return [{ name: backend }];
  return Object.entries(backend).map(([name, options]) => {
    if (typeof options === "number") return { name, weight: options };
    const { weight, headers, responseHeaders } = options;
    const filters: RouteFilter[] = [];
    if (headers !== undefined)
      filters.push({ type: "RequestHeaderModifier", requestHeaderModifier: headerModifier(headers) });
    if (responseHeaders !== undefined)
      filters.push({ type: "ResponseHeaderModifier", responseHeaderModifier: headerModifier(responseHeaders) });
    return {
      name,
      ...(weight === undefined ? {} : { weight }),
      ...(filters.length === 0 ? {} : { filters }),
    };
  });
}

export function valueMatch(name: string, value: string | { matches: string }): ValueMatch {
  return typeof value === "string" ? { name, value } : { type: "RegularExpression", name, value: value.matches };
}

export function sessionOf({ name, by, idle, atMost, permanent }: SessionInput = {}): SessionPersistence {
  return {
    ...(name === undefined ? {} : { sessionName: name }),
    ...(by === undefined ? {} : { type: by === "header" ? "Header" : "Cookie" }),
    ...(atMost === undefined ? {} : { absoluteTimeout: durationText(atMost) }),
    ...(idle === undefined ? {} : { idleTimeout: durationText(idle) }),
    ...(permanent ? { cookieConfig: { lifetimeType: "Permanent" } } : {}),
  };
}

function corsFilter(origins: string | readonly string[] | CORSFilter): CORSFilter {
  if (typeof origins === "string") return { allowOrigins: [origins] };
  return Array.isArray(origins) ? { allowOrigins: origins } : (origins as CORSFilter);
}

export function headerModifier({ set, add, remove }: HeaderChanges): HeaderModifier {
  const pairs = (values: Readonly<Record<string, string>>): { name: string; value: string }[] =>
    Object.entries(values).map(([name, value]) => ({ name, value }));
  return {
    ...(set === undefined ? {} : { set: pairs(set) }),
    ...(add === undefined ? {} : { add: pairs(add) }),
    ...(remove === undefined ? {} : { remove }),
  };
}

/** "/v1/products" is "v1-products". */
export function nameOf(path: string): string {
  const name = path
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "");
  return name === "" ? "root" : name;
}
