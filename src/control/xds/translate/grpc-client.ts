import type { EffectivePolicy } from "../../../policy/snapshot/effective-policy.ts";
import { timeoutOf } from "./call-routes.ts";
import { compact, type Document, fractionOf, seconds, typed } from "./document.ts";
import { FAULT, faultConfig } from "./fault-config.ts";
import type { Entry, MeshModel } from "./mesh-model.ts";
import { grpcRetryPolicy } from "./retry-policy.ts";
import { grpcRouteMatch, type PathOf } from "./route-match.ts";
import { hashPolicies } from "./rule-action.ts";
import { wholeService } from "./virtual-hosts.ts";

/** Filters of a client's listener: faults (gRFC A33) and the router. */
export const CLIENT_FILTERS: readonly Document[] = [
  { name: FAULT, typed_config: typed("envoy.extensions.filters.http.fault.v3.HTTPFault") },
  { name: "envoy.filters.http.router", typed_config: typed("envoy.extensions.filters.http.router.v3.Router") },
];

export type ClusterNamer = (backend: { service: string; version: string }, policy: EffectivePolicy) => string;

/**
 * config.route.v3.RouteConfiguration for gRPC clients that dial a service: its GRPCRoutes, then the service itself, in the subset that gRPC reads (gRFCs A28, A31, A44).
 * What it would refuse is left out; what it would not enforce is in policy/check/enforcement.ts.
 */
export function clientRoutes(model: MeshModel, name: string, service: string, cluster: ClusterNamer): Document {
  const entries = model.routesOf(service).filter(({ target }) => target.rule.route.startsWith("GRPCRoute/"));
  return {
    name,
    virtual_hosts: [
      {
        name: service,
        domains: ["*"],
        routes: [...entries, wholeService(service)].flatMap((entry) => routesOf(model, entry, cluster)),
      },
    ],
  };
}

interface Kind {
  readonly methodName: string;
  readonly idempotent: boolean;
  readonly only: PathOf;
  readonly method: ReturnType<MeshModel["methodsOf"]>[number] | null;
}

function routesOf(model: MeshModel, entry: Entry, cluster: ClusterNamer): Document[] {
  const { rule } = entry.target;
  const general = { methodName: "", idempotent: false, only: null, method: null };
  const usual = kindRoutes(model, entry, general, cluster);
  const routes: Document[] = [];
  const services = new Set(rule.backends.map(({ service }) => service));
  for (const service of services) {
    for (const method of model.methodsOf(service)) {
      if (!takes(entry, method.path)) continue;
      const kind = {
        methodName: method.path.slice(1),
        idempotent: method.idempotent,
        only: { path: method.path },
        method,
      };
      const made = kindRoutes(model, entry, kind, cluster);
      if (bare(made) !== bare(usual)) routes.push(...made);
    }
  }
  // Methods before their contracts.
  const named = model.namedMethods.filter(
    (name) => !model.methodsOf(entry.target.rule.backends[0]?.service ?? "").some(({ path }) => path === `/${name}`),
  );
  for (const name of named.sort((a, b) => Number(b.includes("/")) - Number(a.includes("/")))) {
    const isMethod = name.includes("/");
    if (!takes(entry, isMethod ? `/${name}` : `/${name}/any`)) continue;
    const only = isMethod ? { path: `/${name}` } : { prefix: `/${name}/` };
    const made = kindRoutes(model, entry, { methodName: name, idempotent: false, only, method: null }, cluster);
    if (bare(made) !== bare(usual)) routes.push(...made);
  }
  return [...routes, ...usual];
}

function bare(routes: readonly Document[]): string {
  return JSON.stringify(routes.map(({ match: _, ...rest }) => rest));
}

function takes({ path }: Entry, method: string): boolean {
  if (path.kind === "exact") return path.value === method;
  if (path.kind === "pattern") return path.pattern.matches(method);
  if (path.kind === "method") return method.endsWith(`/${path.value}`);
  const prefix = path.value.replace(/\/+$/, "");
  return method === prefix || method.startsWith(`${prefix}/`);
}

function kindRoutes(model: MeshModel, entry: Entry, kind: Kind, cluster: ClusterNamer): Document[] {
  const { rule } = entry.target;
  const match = grpcRouteMatch(entry, kind.only);
  if (match === null || rule.totalWeight === 0) return [];
  const bound = rule.backends
    .filter(({ weight }) => weight > 0)
    .map((backend) => {
      const { service, version } = backend;
      const target = { gateway: false, service, version, method: kind.methodName, route: rule.route, rule: rule.name };
      const policy = model.policyAt(target, rule.policy);
      return {
        weight: backend.weight,
        name: cluster(backend, policy),
        settings: settingsOf(policy, kind),
        fault: faultConfig(policy, true),
      };
    });
  const first = bound[0];
  const filters = (fault: Document | null): Document =>
    fault === null ? {} : { typed_per_filter_config: { [FAULT]: fault } };
  const same = bound.every(
    ({ settings, fault }) => JSON.stringify([settings, fault]) === JSON.stringify([first.settings, first.fault]),
  );
  if (same) {
    const clusters =
      bound.length === 1
        ? { cluster: first.name }
        : { weighted_clusters: { clusters: bound.map(({ name, weight }) => ({ name, weight })) } };
    return [{ match, route: { ...clusters, ...first.settings }, ...filters(first.fault) }];
  }
  // gRPC draws anew for each route: shares are of what those before left.
  let left = rule.totalWeight;
  return bound.map(({ weight, name, settings, fault }, i) => {
    const share =
      i === bound.length - 1 ? {} : { runtime_fraction: { default_value: fractionOf((weight * 100) / left) } };
    left -= weight;
    return { match: { ...match, ...share }, route: { cluster: name, ...settings }, ...filters(fault) };
  });
}

function settingsOf(policy: EffectivePolicy, { method, idempotent }: Kind): Document {
  const timeout = timeoutOf(policy, { method, grpc: true });
  const hash =
    policy.balancer.kind === "ring-hash" ? hashPolicies(policy.balancer.hash.filter(({ by }) => by === "header")) : [];
  return compact({
    // 0 is no limit but the caller's own.
    max_stream_duration: { max_stream_duration: seconds(timeout) },
    retry_policy: grpcRetryPolicy(policy, idempotent),
    hash_policy: hash.length === 0 ? undefined : hash,
  });
}
