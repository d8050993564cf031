import { DEFAULT_RETRY } from "../resilience/retry-field.ts";
import type {
  BackendRef,
  PathModifier,
  RequestMirror,
  RequestRedirect,
  RouteFilter,
  RouteRetry,
  RouteTimeouts,
  SessionPersistence,
  TrafficPolicySpec,
} from "../resource/resources.ts";
import { CORS_FIELDS, Cors } from "./cors.ts";
import { headerChanges } from "./header-changes.ts";
import { SessionKeeper } from "./session.ts";

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
  readonly cors: Cors | null;
  readonly session: SessionKeeper | null;
  /** What the route itself says about time-outs and retries. */
  readonly policy: TrafficPolicySpec | null;
}

export interface Backend {
  readonly service: string;
  readonly version: string;
  readonly weight: number;
  /** Header changes for this backend together with the rule's; null when it has none of its own. */
  readonly changes: BackendChanges | null;
}

export interface BackendChanges {
  readonly requestAdd: readonly string[] | null;
  readonly requestRemove: readonly string[] | null;
  readonly responseAdd: readonly string[] | null;
  readonly responseRemove: readonly string[] | null;
}

/** A rule, and what one of its matches says: the prefix for ReplacePrefixMatch, "" without one. */
export interface RuleMatch {
  readonly rule: Rule;
  readonly prefix: string;
  /** The Path of a session's cookie. */
  readonly cookiePath: string;
}

/** What HTTPRoute's and GRPCRoute's rules have in common. */
export interface RuleSpec {
  readonly name?: string;
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly BackendRef[];
  readonly timeouts?: RouteTimeouts;
  readonly retry?: RouteRetry;
  readonly sessionPersistence?: SessionPersistence;
}

/** "products@v1" is version v1 of products. */
export function parseBackend(ref: BackendRef): Omit<Backend, "changes"> {
  const at = ref.name.indexOf("@");
  return {
    service: at < 0 ? ref.name : ref.name.slice(0, at),
    version: at < 0 ? "" : ref.name.slice(at + 1),
    weight: ref.weight ?? 1,
  };
}

/** The rule of calls that name their service, or whose method's contract does. */
export function implicitRule(service: string): Rule {
  return makeRule("", 0, service, { backendRefs: [{ name: service }] });
}

/** The `index`th rule of a route. `match` says in words what it is for. */
export function makeRule(route: string, index: number, match: string, spec: RuleSpec): Rule {
  const { name = "" } = spec;
  const filters = spec.filters ?? NO_FILTERS;
  const { request, response } = headerChanges(filters);
  const mirrors: { backend: Backend; percent: number }[] = [];
  let rewriteHost = "";
  let rewritePath: PathModifier | null = null;
  let redirect: RequestRedirect | null = null;
  let cors: Cors | null = null;
  let crossSite = false;
  for (const filter of filters) {
    switch (filter.type) {
      case "URLRewrite":
        rewriteHost = filter.urlRewrite.hostname ?? "";
        rewritePath = filter.urlRewrite.path ?? null;
        break;
      case "RequestRedirect":
        redirect = filter.requestRedirect;
        break;
      case "RequestMirror":
        mirrors.push({
          backend: { ...parseBackend(filter.requestMirror.backendRef), changes: null },
          percent: mirrorPercent(filter.requestMirror),
        });
        break;
      case "CORS":
        cors = new Cors(filter.cors);
        crossSite = filter.cors.allowCredentials === true;
    }
  }
  if (cors !== null) {
    // What a backend says of it goes; what the rule itself adds to answers stays.
    const { added } = response;
    response.added = null;
    for (const field of CORS_FIELDS) response.remove(field);
    response.added = added;
  }
  const backends = (spec.backendRefs ?? []).map(
    (ref): Backend => ({ ...parseBackend(ref), changes: backendChanges(filters, ref.filters, response.removed) }),
  );
  const shares = backends.length > 1;
  const to = backends.map((backend) => backendName(backend) + (shares ? ` (${backend.weight})` : "")).join(", ");
  const { sessionPersistence } = spec;
  return {
    route,
    name,
    text: route === "" ? `implicit -> ${to}` : `${match} -> ${redirect !== null ? "redirect" : to}`,
    backends,
    totalWeight: backends.reduce((sum, { weight }) => sum + weight, 0),
    mirrors: mirrors.length === 0 ? NO_MIRRORS : mirrors,
    requestAdd: request.added,
    requestRemove: request.removed,
    responseAdd: response.added,
    responseRemove: response.removed,
    rewriteHost,
    rewritePath,
    redirect,
    cors,
    session:
      sessionPersistence === undefined
        ? null
        : new SessionKeeper(sessionPersistence, sessionName(route, name || String(index)), crossSite),
    policy: policyOf(spec.timeouts, spec.retry),
  };
}

export function backendName({ service, version }: { service: string; version: string }): string {
  return version === "" ? service : `${service}@${version}`;
}

const NO_FILTERS: readonly RouteFilter[] = [];
const NO_MIRRORS: Rule["mirrors"] = [];

function backendChanges(
  under: readonly RouteFilter[],
  filters: readonly RouteFilter[] | undefined,
  removed: readonly string[] | null,
): BackendChanges | null {
  if (filters === undefined || filters.length === 0) return null;
  const { request, response } = headerChanges(filters, under);
  const responseRemove = [...new Set([...(removed ?? []), ...(response.removed ?? [])])];
  return {
    requestAdd: request.added,
    requestRemove: request.removed,
    responseAdd: response.added,
    responseRemove: responseRemove.length === 0 ? null : responseRemove,
  };
}

function mirrorPercent({ percent, fraction }: RequestMirror): number {
  if (fraction !== undefined) return (fraction.numerator * 100) / (fraction.denominator ?? 100);
  return percent ?? 100;
}

/** "weft-orders-main": of sessions that are not named, another for each rule, since rules do not share sessions. A cookie's name has no "/". */
function sessionName(route: string, rule: string): string {
  return `weft-${route.slice(route.indexOf("/") + 1).slice(0, 100)}-${rule}`;
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
