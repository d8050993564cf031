import { durationText } from "./builder-parts.ts";
import {
  type BackendRef,
  type Duration,
  GATEWAY_API,
  type HeaderModifier,
  type HTTPRoute,
  type HTTPRouteMatch,
  type HTTPRouteRule,
  type RequestRedirect,
  type Resource,
  type RouteFilter,
} from "./resources.ts";

/**
 * Makes an HTTPRoute of one rule. Every method gives a new builder and leaves the old one as it was.
 *
 *     route("/v1/products").to({ "products@v1": 95, "products@v2": 5 }).timeout("2s")
 */
export interface RouteBuilder {
  /** Where calls go: a service or one of its versions ("products@v1"), or several with their shares. */
  to(backend: string | Readonly<Record<string, number>>): RouteBuilder;
  /** Only this HTTP method. */
  method(method: string): RouteBuilder;
  /** Only requests with this header. */
  header(name: string, value: string): RouteBuilder;
  /** Only requests with this query parameter. */
  query(name: string, value: string): RouteBuilder;
  /** Only these hosts: "shop.example", "*.shop.example". */
  host(...hostnames: string[]): RouteBuilder;
  /** This very path, not what is below it. */
  exact(): RouteBuilder;
  /** Also this path, under the same conditions. */
  or(path: string): RouteBuilder;
  /** The whole call, and each attempt. Numbers are milliseconds. */
  timeout(request: Duration | number, backendRequest?: Duration | number): RouteBuilder;
  /** Retries beyond the first attempt; which HTTP statuses are retried. */
  retry(attempts: number, options?: { codes?: readonly number[]; backoff?: Duration | number }): RouteBuilder;
  /** Replaces the matched prefix of the path (with exact(): the path), and the host. */
  rewrite(path: string | { path?: string; host?: string }): RouteBuilder;
  /** Changes the request's headers. */
  headers(changes: HeaderChanges): RouteBuilder;
  /** Changes the response's headers. */
  responseHeaders(changes: HeaderChanges): RouteBuilder;
  /** Sends a copy of `percent` (default 100) of the requests there and ignores the answers. */
  mirror(backend: string, percent?: number): RouteBuilder;
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

/** Begins a route for `path` and everything below it. */
export function route(path: string): RouteBuilder {
  return make({
    name: nameOf(path),
    hostnames: [],
    paths: [path],
    exact: false,
    match: {},
    rule: {},
    filters: [],
    rewrite: null,
  });
}

interface Parts {
  readonly name: string;
  readonly hostnames: readonly string[];
  readonly paths: readonly string[];
  readonly exact: boolean;
  readonly match: Omit<HTTPRouteMatch, "path">;
  readonly rule: HTTPRouteRule;
  readonly filters: readonly RouteFilter[];
  readonly rewrite: { readonly path?: string; readonly host?: string } | null;
}

function make(parts: Parts): RouteBuilder {
  const change = (changes: Partial<Parts>): RouteBuilder => make({ ...parts, ...changes });
  const rule = (changes: HTTPRouteRule): RouteBuilder => change({ rule: { ...parts.rule, ...changes } });
  const match = (changes: Parts["match"]): RouteBuilder => change({ match: { ...parts.match, ...changes } });
  const filter = (added: RouteFilter): RouteBuilder => change({ filters: [...parts.filters, added] });
  return {
    to: (backend) => rule({ backendRefs: backendRefs(backend) }),
    method: (method) => match({ method: method.toUpperCase() }),
    header: (name, value) => match({ headers: [...(parts.match.headers ?? []), { name, value }] }),
    query: (name, value) => match({ queryParams: [...(parts.match.queryParams ?? []), { name, value }] }),
    host: (...hostnames) => change({ hostnames: [...parts.hostnames, ...hostnames] }),
    exact: () => change({ exact: true }),
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
        requestMirror: { backendRef: { name: backend }, ...(percent === undefined ? {} : { percent }) },
      }),
    redirect: (to) => filter({ type: "RequestRedirect", requestRedirect: to }),
    named: (name) => change({ name }),
    resources: () => [resourceOf(parts)],
  };
}

function resourceOf({ name, hostnames, paths, exact, match, rule, filters, rewrite }: Parts): HTTPRoute {
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
              path: exact
                ? { type: "ReplaceFullPath", replaceFullPath: path }
                : { type: "ReplacePrefixMatch", replacePrefixMatch: path },
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
          matches: paths.map((path) => ({ path: { type: exact ? "Exact" : "PathPrefix", value: path }, ...match })),
          ...(all.length === 0 ? {} : { filters: all }),
          ...rule,
        },
      ],
    },
  };
}

function backendRefs(backend: string | Readonly<Record<string, number>>): BackendRef[] {
  if (typeof backend === "string") return [{ name: backend }];
  return Object.entries(backend).map(([name, weight]) => ({ name, weight }));
}

function headerModifier({ set, add, remove }: HeaderChanges): HeaderModifier {
  const pairs = (values: Readonly<Record<string, string>>): { name: string; value: string }[] =>
    Object.entries(values).map(([name, value]) => ({ name, value }));
  return {
    ...(set === undefined ? {} : { set: pairs(set) }),
    ...(add === undefined ? {} : { add: pairs(add) }),
    ...(remove === undefined ? {} : { remove }),
  };
}

/** "/v1/products" is "v1-products". */
function nameOf(path: string): string {
  const name = path
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "");
  return name === "" ? "root" : name;
}
