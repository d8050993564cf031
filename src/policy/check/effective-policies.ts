import type { Place } from "../../core/errors.ts";
import { Level } from "../resource/level.ts";
import type { Resource } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";
import { routeEntries } from "../route/route-entries.ts";
import { backendName, type Rule } from "../route/rule.ts";
import { isSessionRoute } from "../route/session-route.ts";
import { sessionEntry } from "../route/session-table.ts";
import { type EffectivePolicy, resolvePolicy } from "../snapshot/effective-policy.ts";
import type { PolicyFieldName } from "../snapshot/policy-fields.ts";
import { indexPolicies, layersFor, type PolicyIndex } from "../snapshot/policy-index.ts";
import type { CheckedSystem } from "./checked-system.ts";

/** What holds for calls that one rule (or none) takes to one backend. */
export interface EffectiveTarget {
  /** "orders", "products@v1" */
  readonly backend: string;
  readonly service: string;
  /** Null: calls to the service by its name or contract. */
  readonly rule: Rule | null;
  readonly policy: EffectivePolicy;
}

/** Every combination of rule and backend that resources and system name, at the gateway. */
export function effectiveTargets({ resources, services }: CheckedSystem): EffectiveTarget[] {
  const index = indexOf(resources);
  const targets: EffectiveTarget[] = [];
  const rules = new Set<Rule>();
  const known = new Map<string, EffectivePolicy>();
  for (const route of resources) {
    if (isSessionRoute(route)) rules.add(sessionEntry(route).rule);
    if (route.kind !== "HTTPRoute" && route.kind !== "GRPCRoute") continue;
    for (const { target } of routeEntries(route, 0)) rules.add(target.rule);
  }
  for (const rule of rules) {
    for (const { service, version } of rule.backends) {
      const layers = layersFor(index, {
        gateway: true,
        service,
        version,
        method: "",
        route: rule.route,
        rule: rule.name,
      });
      // Most rules say nothing themselves, and what holds for their backend is the same for all of them.
      const key = layers.map(({ level, source }) => `${level} ${source}`).join();
      let policy = rule.policy === null ? known.get(key) : undefined;
      if (policy === undefined) {
        if (rule.policy !== null) layers.push({ level: Level.rule, source: rule.route, spec: rule.policy });
        policy = resolvePolicy(layers);
        if (rule.policy === null) known.set(key, policy);
      }
      targets.push({ backend: backendName({ service, version }), service, rule, policy });
    }
  }
  for (const service of namedServices(resources, services)) {
    const at = { gateway: false, service, version: "", method: "", route: "", rule: "" };
    targets.push({ backend: service, service, rule: null, policy: resolvePolicy(layersFor(index, at)) });
  }
  return targets;
}

/** Made once for a set of resources. */
function indexOf(resources: readonly Resource[]): PolicyIndex {
  let index = indexes.get(resources);
  if (index === undefined) indexes.set(resources, (index = indexPolicies(resources)));
  return index;
}
const indexes = new WeakMap<readonly Resource[], PolicyIndex>();

/** The policy of calls from one service to another. */
export function policyOfCalls(resources: readonly Resource[], service: string): EffectivePolicy {
  const at = { gateway: false, service, version: "", method: "", route: "", rule: "" };
  return resolvePolicy(layersFor(indexOf(resources), at));
}

/** Where the value of a policy's field is written; null when it is the default. */
export function placeOfField(
  { resources, placeOf }: CheckedSystem,
  { policy, rule }: EffectiveTarget,
  field: PolicyFieldName,
): Place | null {
  const source = policy.sources[field];
  if (source === undefined) return null;
  const [kind, name] = source.split(/[ /]/, 2);
  const resource = byName(resources).get(`${kind} ${name}`);
  if (resource === undefined) return null;
  return placeOf(resource, rule !== null && source === rule.route ? ruleField(resource, rule, field) : ["spec", field]);
}

function byName(resources: readonly Resource[]): ReadonlyMap<string, Resource> {
  let named = names.get(resources);
  if (named === undefined) {
    named = new Map(resources.map((resource) => [`${resource.kind} ${resource.metadata.name}`, resource]));
    names.set(resources, named);
  }
  return named;
}
const names = new WeakMap<readonly Resource[], ReadonlyMap<string, Resource>>();

function ruleField(resource: Resource, rule: Rule, field: PolicyFieldName): FieldPath {
  if (resource.kind !== "HTTPRoute" && resource.kind !== "GRPCRoute") return ["spec"];
  const at = resource.spec.rules.findIndex(({ name = "" }) => name === rule.name);
  const names: Partial<Record<PolicyFieldName, FieldPath>> = {
    timeout: ["timeouts", "request"],
    perTryTimeout: ["timeouts", "backendRequest"],
    retry: ["retry"],
  };
  return ["spec", "rules", Math.max(0, at), ...(names[field] ?? [])];
}

function namedServices(resources: readonly Resource[], services: readonly string[]): Set<string> {
  const names = new Set(services);
  for (const resource of resources) {
    if (resource.kind === "HTTPRoute" || resource.kind === "GRPCRoute" || isSessionRoute(resource)) continue;
    for (const target of resource.spec.targetRefs ?? [])
      if (target.kind === "Service") names.add((target.name ?? "").split("@", 1)[0]);
  }
  return names;
}
