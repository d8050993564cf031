import { Level } from "../../../policy/resource/level.ts";
import { pathMeets } from "../../../policy/route/path-table.ts";
import type { Rule } from "../../../policy/route/rule.ts";
import type { MethodInfo } from "../../../policy/runtime.ts";
import { authorizationsIn } from "../../../policy/security/authorize-gate.ts";
import type { EffectivePolicy } from "../../../policy/snapshot/effective-policy.ts";
import type { PolicyTarget } from "../../../policy/snapshot/policy-index.ts";
import { CORS, corsPolicy, withVary } from "./cors-config.ts";
import { compact, type Document, runtimeFraction, seconds } from "./document.ts";
import { FAULT, faultConfig } from "./fault-config.ts";
import type { ListenerFilters } from "./listener-filters.ts";
import { problemAnswer } from "./local-replies.ts";
import type { Entry, MeshModel } from "./mesh-model.ts";
import { hedges, retryPolicy } from "./retry-policy.ts";
import { type PathOf, preflightMatch, routeMatch } from "./route-match.ts";
import { hashPolicies, headerFields, redirectAction, rewriteFields } from "./rule-action.ts";
import { SESSION, sessionPerRoute } from "./session-config.ts";

/** Where routes are followed: a gateway, callers beside a sidecar, or the sidecar of the service that is called. */
export type RouteRole = "gateway" | "outbound" | "inbound";

export interface RouteContext {
  readonly model: MeshModel;
  readonly role: RouteRole;
  readonly filters: ListenerFilters;
  /** The name of the cluster for calls to a backend under a policy; the cluster is made when it is first named. */
  cluster(backend: { readonly service: string; readonly version: string }, policy: EffectivePolicy): string;
}

/** What of a call decides which policies hold for it, beside its rule. */
interface CallKind {
  /** "shop.v1.Orders/Place", "shop.v1.Orders", "" for what nobody described. */
  readonly methodName: string;
  readonly method: MethodInfo | null;
  readonly grpc: boolean;
  readonly idempotent: boolean;
  readonly only: PathOf;
  readonly verbs: readonly string[];
}

/** RFC 9110 section 9.2.2. */
const IDEMPOTENT = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"];

/**
 * The routes of one entry, first match first. Envoy takes policies from routes and does not know methods, so that an entry becomes as many routes as there are kinds of calls
 * that policy treats differently:
 *
 *     [CORS preflights]  each method or contract with policies or a contract of its own  gRPC  idempotent HTTP methods  all others
 *
 * Kinds that come to the same are told once. Where backends have different policies, a kind is split by share into one route for each (route.runtime_fraction: Envoy
 * draws once a request, so that the shares are cumulative).
 */
export function entryRoutes(context: RouteContext, entry: Entry): Document[] {
  const { rule } = entry.target;
  const routes: Document[] = [];
  if (entry.preflight && entry.method !== "" && entry.method !== "OPTIONS") {
    routes.push(...kindRoutes(context, entry, PREFLIGHT, preflightMatch(entry)));
  }
  const general = generalKinds(entry).map((kind) => ({ kind, made: kindRoutes(context, entry, kind) }));
  const usual = general.find(({ kind }) => kind.grpc)?.made ?? general[0].made;
  for (const kind of methodKinds(context.model, entry, rule)) {
    const made = kindRoutes(context, entry, kind);
    if (bare(made) !== bare(usual)) routes.push(...made);
  }
  // The last takes whatever is left: those before it that do the same are not needed.
  const last = general[general.length - 1];
  for (const one of general) if (one === last || bare(one.made) !== bare(last.made)) routes.push(...one.made);
  return routes;
}

const PREFLIGHT: CallKind = { methodName: "", method: null, grpc: false, idempotent: true, only: null, verbs: [] };

function generalKinds({ method, grpc }: Entry): CallKind[] {
  const none = { methodName: "", method: null, only: null };
  if (grpc) return [{ ...none, grpc: true, idempotent: false, verbs: [] }];
  if (method !== "") return [{ ...none, grpc: false, idempotent: IDEMPOTENT.includes(method), verbs: [] }];
  return [
    { ...none, grpc: true, idempotent: false, verbs: [] },
    { ...none, grpc: false, idempotent: true, verbs: IDEMPOTENT },
    { ...none, grpc: false, idempotent: false, verbs: [] },
  ];
}

/**
 * Methods whose contract says what they are, and those that policies name, as far as the entry takes them: of the rule's services, and of any where the entry is about
 * gRPC or a path of its own. (A route of "/" would otherwise become as many as the system has methods.)
 */
function methodKinds(model: MeshModel, { path, method, grpc }: Entry, { backends }: Rule): CallKind[] {
  if (method !== "" && method !== "POST") return [];
  const kinds: CallKind[] = [];
  const seen = new Set<string>();
  const ofAny = grpc || path.kind !== "prefix" || /[^/]/.test(path.value);
  const services = ofAny ? model.state.services : backends.map(({ service }) => service);
  for (const service of new Set(services)) {
    for (const info of model.methodsOf(service)) {
      if (!pathMeets(path, info.path)) continue;
      seen.add(info.path.slice(1));
      const methodName = info.path.slice(1);
      kinds.push({
        methodName,
        method: info,
        grpc: true,
        idempotent: info.idempotent,
        only: { path: info.path },
        verbs: [],
      });
    }
  }
  const named = model.namedMethods.filter((name) => !seen.has(name));
  // Methods before their contracts.
  for (const name of named.sort((a, b) => Number(b.includes("/")) - Number(a.includes("/")))) {
    const isMethod = name.includes("/");
    if (!pathMeets(path, isMethod ? `/${name}` : `/${name}/any`)) continue;
    kinds.push({
      methodName: name,
      method: null,
      grpc: true,
      idempotent: false,
      only: isMethod ? { path: `/${name}` } : { prefix: `/${name}/` },
      verbs: [],
    });
  }
  return kinds;
}

/** What routes say beside their match. */
function bare(routes: readonly Document[]): string {
  return JSON.stringify(routes.map(({ match, ...rest }) => [(match as Document).runtime_fraction, rest]));
}

function kindRoutes(context: RouteContext, entry: Entry, kind: CallKind, as: Document | null = null): Document[] {
  const { model, role } = context;
  const { rule, prefix } = entry.target;
  // gRPC of a kind that names its path needs no look at its content-type.
  const match = as ?? routeMatch(entry, kind.only, kind.verbs, (kind.grpc && kind.only === null) || entry.grpc);
  const target = {
    gateway: role === "gateway",
    version: "",
    method: kind.methodName,
    route: rule.route,
    rule: rule.name,
  };
  const targets: PolicyTarget[] = rule.backends.map(({ service }) => ({ ...target, service }));
  if (targets.length === 0) targets.push({ ...target, service: "" });
  const gates = gateConfigs(context, targets, rule);
  if (gates.refusal !== null && rule.redirect === null) return [{ match, ...gates.refusal }];
  if (rule.redirect !== null) {
    // Before all gates but CORS, and as it is: what routes change are answers of backends.
    const { [CORS]: cors } = gates.filters;
    const filters = cors === undefined ? {} : { [CORS]: cors };
    return [tidy({ match, redirect: redirectAction(rule.redirect, prefix), typed_per_filter_config: filters })];
  }
  if (rule.backends.length === 0 || rule.totalWeight === 0) {
    const detail = `route ${rule.text} has no backend with a weight`;
    // Faults come before a backend is chosen, where there is one policy for all.
    const faults = rule.backends.map(({ service, version }) =>
      faultConfig(model.policyAt({ ...target, service, version }, rule.policy), kind.grpc),
    );
    const same = faults.every((fault) => JSON.stringify(fault) === JSON.stringify(faults[0]));
    const fault = same && role !== "inbound" && faults[0] ? { [FAULT]: faults[0] } : {};
    const answer = problemAnswer(503, "unavailable", "NO_BACKEND", detail);
    return [tidy({ match, ...answer, typed_per_filter_config: { ...gates.filters, ...fault } })];
  }
  const bound = rule.backends
    .filter(({ weight }) => weight > 0)
    .map((backend) => {
      const policy = model.policyAt({ ...target, service: backend.service, version: backend.version }, rule.policy);
      return {
        backend,
        policy,
        settings: role === "inbound" ? INBOUND : callSettings(policy, kind, rule, prefix),
        cluster: context.cluster(backend, policy),
      };
    });
  const session = rule.session === null ? {} : { [SESSION]: sessionPerRoute(rule.session, entry.target.cookiePath) };
  const filtersOf = ({ fault }: CallSettings): Document => ({
    ...gates.filters,
    ...session,
    ...(fault === null || role === "inbound" ? {} : { [FAULT]: fault }),
  });
  const mirrors = rule.mirrors.map(({ backend, percent }) => ({
    cluster: context.cluster(backend, model.servicePolicy(target.gateway, backend.service, backend.version)),
    runtime_fraction: runtimeFraction(percent),
    disable_shadow_host_suffix_append: true,
  }));
  const first = bound[0];
  const alike = bound.every(({ settings }) => JSON.stringify(settings) === JSON.stringify(first.settings));
  if (alike) {
    const { action, route } = first.settings;
    const changes = bound.some(({ backend }) => backend.changes !== null);
    const clusters =
      bound.length === 1
        ? { cluster: first.cluster }
        : {
            weighted_clusters: {
              clusters: bound.map(({ backend, cluster }) => ({
                name: cluster,
                weight: backend.weight,
                ...(changes ? headerFields(backend.changes ?? rule) : {}),
              })),
            },
          };
    const changed =
      bound.length === 1 ? headerFields(first.backend.changes ?? rule) : changes ? {} : headerFields(rule);
    return [
      tidy({
        match,
        route: compact({ ...clusters, ...action, request_mirror_policies: mirrors.length === 0 ? undefined : mirrors }),
        ...route,
        ...(CORS in gates.filters ? withVary(changed) : changed),
        typed_per_filter_config: filtersOf(first.settings),
      }),
    ];
  }
  const total = bound.reduce((sum, { backend }) => sum + backend.weight, 0);
  let before = 0;
  return bound.map(({ backend, cluster, settings }, i) => {
    before += backend.weight;
    const share = i === bound.length - 1 ? {} : { runtime_fraction: runtimeFraction((before * 100) / total) };
    const changed = headerFields(backend.changes ?? rule);
    return tidy({
      match: { ...match, ...share },
      route: compact({
        cluster,
        ...settings.action,
        request_mirror_policies: mirrors.length === 0 ? undefined : mirrors,
      }),
      ...settings.route,
      ...(CORS in gates.filters ? withVary(changed) : changed),
      typed_per_filter_config: filtersOf(settings),
    });
  });
}

function tidy(route: Record<string, unknown>): Document {
  const { typed_per_filter_config: filters, ...rest } = route;
  return filters === undefined || Object.keys(filters as Document).length === 0 ? rest : route;
}

interface CallSettings {
  readonly action: Document;
  readonly route: Document;
  readonly fault: Document | null;
}

/** What holds where calls are made has held by then. */
const INBOUND: CallSettings = { action: { timeout: "0s", idle_timeout: "0s" }, route: {}, fault: null };

/** What a backend's policy says of calls of a kind. */
function callSettings(policy: EffectivePolicy, kind: CallKind, rule: Rule, prefix: string): CallSettings {
  const retry = retryPolicy(policy, kind.idempotent);
  const hash =
    policy.balancer.kind === "ring-hash" || policy.balancer.kind === "maglev" ? hashPolicies(policy.balancer.hash) : [];
  const { subset } = policy.balancer;
  const lb = subset?.match.every(({ header }) => header === "") ? subset.match : [];
  return {
    action: compact({
      ...rewriteFields(rule, prefix),
      timeout: seconds(timeoutOf(policy, kind)),
      idle_timeout: seconds(policy.idleTimeout),
      max_stream_duration: kind.grpc ? grpcDuration(timeoutOf(policy, kind)) : undefined,
      retry_policy: retry,
      hedge_policy: hedges(policy, kind.idempotent) ? { hedge_on_per_try_timeout: true } : undefined,
      hash_policy: hash.length === 0 ? undefined : hash,
      metadata_match:
        lb.length === 0
          ? undefined
          : { filter_metadata: { "envoy.lb": Object.fromEntries(lb.map(({ key, value }) => [key, value])) } },
    }),
    route:
      retry === undefined || retry.num_retries === 0
        ? {}
        : { request_body_buffer_limit: String(policy.retry.bufferBytes) },
    fault: faultConfig(policy, kind.grpc),
  };
}

/**
 * As machine/time-limits.ts: a call that may stream has no time-out that was not written for it. What is told of HTTP ends there with the head of the answer, and in Envoy with the
 * answer (policy/check/divergences.ts).
 */
export function timeoutOf(policy: EffectivePolicy, { method, grpc }: Pick<CallKind, "method" | "grpc">): number {
  const unary = method !== null && !method.clientStreaming && !method.serverStreaming;
  if (unary || policy.timeoutLevel >= Level.method || !grpc) return policy.timeout;
  return Number.POSITIVE_INFINITY;
}

/** The caller's own deadline, and policy's: where a route knows the first, Envoy looks no more at the route's time-out. */
function grpcDuration(timeoutMs: number): Document {
  const limit = seconds(timeoutMs);
  return timeoutMs === Number.POSITIVE_INFINITY
    ? { grpc_timeout_header_max: "0s" }
    : { max_stream_duration: limit, grpc_timeout_header_max: limit };
}

interface GateConfigs {
  readonly filters: Document;
  /** In place of everything, where nobody may be let in. */
  readonly refusal: Document | null;
}

/** What calls have to pass, by the names of the listener's filters. */
function gateConfigs(
  { model, role, filters }: RouteContext,
  targets: readonly PolicyTarget[],
  rule: Rule,
): GateConfigs {
  const made: Record<string, Document> = {};
  if (rule.cors !== null && role === "gateway") made[CORS] = corsPolicy(rule.cors.filter);
  const place = role === "gateway" ? "gateway" : role === "inbound" ? "server" : "sidecar";
  const at = model.attachments(place, targets);
  let providers: readonly string[] = [];
  if (role !== "outbound") {
    const demand = filters.jwt.demand(at);
    if (demand !== null) {
      if (demand.closed) {
        const detail = "callers are authenticated in a way that Envoy does not know; call a gateway of weft";
        return { filters: {}, refusal: problemAnswer(401, "unauthenticated", "AUTHENTICATION_REQUIRED", detail) };
      }
      providers = demand.providers;
      Object.assign(made, filters.token(demand));
    }
    Object.assign(made, filters.authorization(authorizationsIn(at), providers));
  }
  for (const [, limit] of at.attachedAt("RateLimit")) Object.assign(made, filters.limit(limit, providers));
  return { filters: made, refusal: null };
}
