import { DEFAULT_RETRY } from "../resilience/retry-field.ts";
import type {
  BackendRef,
  GRPCRoute,
  HeaderModifier,
  HTTPRoute,
  PathModifier,
  RequestRedirect,
  RouteFilter,
  RouteRetry,
  RouteTimeouts,
  TrafficPolicySpec,
} from "../resource/resources.ts";
import type { RouteEntry } from "./route-table.ts";

/** One rule of a route, or the implicit rule of a service, with its filters read. */
export interface Rule {
  /** "HTTPRoute/products"; "" for implicit rules. */
  readonly route: string;
  /** Its name in the route, "" without one. */
  readonly name: string;
  /** "/v1/products -> products@v1 (95), products@v2 (5)": for people. */
  readonly text: string;
  readonly backends: readonly Backend[];
  readonly totalWeight: number;
  readonly mirrors: readonly { readonly backend: Backend; readonly percent: number }[];
  /** Flat; null when the rule changes nothing. */
  readonly requestAdd: readonly string[] | null;
  readonly requestRemove: readonly string[] | null;
  readonly responseAdd: readonly string[] | null;
  readonly responseRemove: readonly string[] | null;
  readonly rewriteHost: string;
  readonly rewritePath: PathModifier | null;
  readonly redirect: RequestRedirect | null;
  /** What the route itself says about time-outs and retries. */
  readonly policy: TrafficPolicySpec | null;
}

export interface Backend {
  readonly service: string;
  readonly version: string;
  readonly weight: number;
}

/** A rule, and the prefix that one of its matches has, for ReplacePrefixMatch. */
export interface RuleMatch {
  readonly rule: Rule;
  readonly prefix: string;
}

/** "products@v1" is version v1 of products. */
export function parseBackend(ref: BackendRef): Backend {
  const at = ref.name.indexOf("@");
  return {
    service: at < 0 ? ref.name : ref.name.slice(0, at),
    version: at < 0 ? "" : ref.name.slice(at + 1),
    weight: ref.weight ?? 1,
  };
}

/** The rule of calls that name their service, or whose method's contract does. */
export function implicitRule(service: string): Rule {
  return makeRule("", "", service, { backendRefs: [{ name: service }] });
}

/** Table entries of a route; `order` numbers them all. */
export function routeEntries(route: HTTPRoute | GRPCRoute, order: number): RouteEntry<RuleMatch>[] {
  const entries: RouteEntry<RuleMatch>[] = [];
  const hostnames = route.spec.hostnames ?? [];
  const key = `${route.kind}/${route.metadata.name}`;
  if (route.kind === "HTTPRoute") {
    for (const spec of route.spec.rules) {
      const matches = spec.matches === undefined || spec.matches.length === 0 ? [{}] : spec.matches;
      const text = matches.map(({ path }) => path?.value ?? "/").join(", ");
      const rule = makeRule(key, spec.name ?? "", text, spec);
      for (const match of matches) {
        const exact = match.path?.type === "Exact";
        const value = match.path?.value ?? "/";
        entries.push({
          hostnames,
          path: { exact, value },
          method: match.method ?? "",
          grpc: false,
          headers: flat(match.headers, true),
          query: flat(match.queryParams, false),
          order: order++,
          target: { rule, prefix: exact ? "" : value.replace(/\/+$/, "") },
        });
      }
    }
  } else {
    for (const spec of route.spec.rules) {
      const matches = spec.matches === undefined || spec.matches.length === 0 ? [{}] : spec.matches;
      const text = matches.map(({ method }) => `/${method?.service ?? ""}/${method?.method ?? "*"}`).join(", ");
      const rule = makeRule(key, spec.name ?? "", text, spec);
      for (const { method, headers } of matches) {
        const exact = method?.service !== undefined && method.method !== undefined;
        entries.push({
          hostnames,
          path: { exact, value: exact ? `/${method.service}/${method.method}` : `/${method?.service ?? ""}` },
          method: "",
          grpc: true,
          headers: flat(headers, true),
          query: [],
          order: order++,
          target: { rule, prefix: "" },
        });
      }
    }
  }
  return entries;
}

interface RuleSpec {
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly BackendRef[];
  readonly timeouts?: RouteTimeouts;
  readonly retry?: RouteRetry;
}

function makeRule(route: string, name: string, match: string, spec: RuleSpec): Rule {
  const backends = (spec.backendRefs ?? []).map(parseBackend);
  const request = new HeaderChanges();
  const response = new HeaderChanges();
  const mirrors: { backend: Backend; percent: number }[] = [];
  let rewriteHost = "";
  let rewritePath: PathModifier | null = null;
  let redirect: RequestRedirect | null = null;
  for (const filter of spec.filters ?? []) {
    switch (filter.type) {
      case "RequestHeaderModifier":
        request.apply(filter.requestHeaderModifier);
        break;
      case "ResponseHeaderModifier":
        response.apply(filter.responseHeaderModifier);
        break;
      case "URLRewrite":
        rewriteHost = filter.urlRewrite.hostname ?? "";
        rewritePath = filter.urlRewrite.path ?? null;
        break;
      case "RequestRedirect":
        redirect = filter.requestRedirect;
        break;
      case "RequestMirror": {
        const { backendRef, percent } = filter.requestMirror;
        mirrors.push({ backend: parseBackend(backendRef), percent: percent ?? 100 });
      }
    }
  }
  const shares = backends.length > 1;
  const to = backends.map((backend) => backendName(backend) + (shares ? ` (${backend.weight})` : "")).join(", ");
  return {
    route,
    name,
    text: route === "" ? `implicit -> ${to}` : `${match} -> ${redirect !== null ? "redirect" : to}`,
    backends,
    totalWeight: backends.reduce((sum, { weight }) => sum + weight, 0),
    mirrors,
    requestAdd: request.added,
    requestRemove: request.removed,
    responseAdd: response.added,
    responseRemove: response.removed,
    rewriteHost,
    rewritePath,
    redirect,
    policy: policyOf(spec.timeouts, spec.retry),
  };
}

export function backendName({ service, version }: { service: string; version: string }): string {
  return version === "" ? service : `${service}@${version}`;
}

class HeaderChanges {
  added: string[] | null = null;
  removed: string[] | null = null;

  apply({ set, add, remove }: HeaderModifier): void {
    for (const name of remove ?? []) (this.removed ??= []).push(name.toLowerCase());
    for (const { name, value } of set ?? []) {
      (this.removed ??= []).push(name.toLowerCase());
      (this.added ??= []).push(name.toLowerCase(), value);
    }
    for (const { name, value } of add ?? []) (this.added ??= []).push(name.toLowerCase(), value);
  }
}

function policyOf(timeouts: RouteTimeouts | undefined, retry: RouteRetry | undefined): TrafficPolicySpec | null {
  if (timeouts === undefined && retry === undefined) return null;
  const events = DEFAULT_RETRY.on.filter((name) => name !== "gateway-error");
  return {
    ...(timeouts?.request === undefined ? {} : { timeout: timeouts.request }),
    ...(timeouts?.backendRequest === undefined ? {} : { perTryTimeout: timeouts.backendRequest }),
    ...(retry === undefined
      ? {}
      : {
          retry: {
            ...(retry.attempts === undefined ? {} : { attempts: retry.attempts }),
            ...(retry.codes === undefined ? {} : { on: [...events, ...retry.codes.map(String)] }),
            ...(retry.backoff === undefined ? {} : { backoff: { base: retry.backoff } }),
          },
        }),
  };
}

function flat(matches: readonly { name: string; value: string }[] | undefined, lower: boolean): string[] {
  return (matches ?? []).flatMap(({ name, value }) => [lower ? name.toLowerCase() : name, value]);
}
