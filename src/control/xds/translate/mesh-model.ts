import type { Endpoint } from "../../../core/endpoint.ts";
import type { Place } from "../../../policy/call.ts";
import { Level } from "../../../policy/resource/level.ts";
import type { Resource, ResourceKind } from "../../../policy/resource/resources.ts";
import { entriesByParent } from "../../../policy/route/route-entries-of.ts";
import { precedence, type RouteEntry } from "../../../policy/route/route-table.ts";
import type { RuleMatch } from "../../../policy/route/rule.ts";
import type { MethodInfo } from "../../../policy/runtime.ts";
import { type EffectivePolicy, resolvePolicy } from "../../../policy/snapshot/effective-policy.ts";
import {
  attachedAtAny,
  indexPolicies,
  layersFor,
  type PolicyIndex,
  type PolicyTarget,
  TargetIndex,
} from "../../../policy/snapshot/policy-index.ts";

export type Entry = RouteEntry<RuleMatch>;

/** What is translated: one revision's resources, and the services that there are. */
export interface MeshState {
  /** The trust domain: "shop". */
  readonly system: string;
  readonly revision: number;
  readonly resources: readonly Resource[];
  readonly methods: readonly MethodInfo[];
  /** Every service that has endpoints or a contract. */
  readonly services: readonly string[];
  endpointsOf(service: string): Iterable<Endpoint>;
}

/** The resources of a revision as translation looks at them: indexed by the same code as those of a snapshot (policy/snapshot). */
export class MeshModel {
  readonly state: MeshState;
  /** In order of precedence within a host. */
  readonly gateway: readonly Entry[];
  readonly #ofService = new Map<string, readonly Entry[]>();
  readonly #policies: PolicyIndex;
  readonly #resolved = new Map<string, EffectivePolicy>();
  readonly #attached = new Map<ResourceKind, TargetIndex<Resource>>();
  readonly #methods = new Map<string, MethodInfo[]>();
  /** Methods and contracts that policies name: "shop.v1.Orders/Place", "shop.v1.Orders". */
  readonly namedMethods: readonly string[];

  constructor(state: MeshState) {
    this.state = state;
    const { gateway, services } = entriesByParent(state.resources);
    this.gateway = [...gateway].sort(precedence);
    for (const [service, entries] of services) this.#ofService.set(service, [...entries].sort(precedence));
    this.#policies = indexPolicies(state.resources);
    const named = new Set<string>();
    for (const resource of state.resources) {
      const { targetRefs } = resource.spec as { targetRefs?: readonly { kind: string; name?: string }[] };
      for (const { kind, name = "" } of targetRefs ?? []) if (kind === "Method") named.add(name.replace(/^\//, ""));
      if (resource.kind.endsWith("Route") || resource.kind === "TrafficPolicy") continue;
      let index = this.#attached.get(resource.kind);
      if (index === undefined) this.#attached.set(resource.kind, (index = new TargetIndex()));
      index.add(targetRefs as never, resource);
    }
    this.namedMethods = [...named];
    for (const method of state.methods) {
      const known = this.#methods.get(method.service);
      if (known === undefined) this.#methods.set(method.service, [method]);
      else known.push(method);
    }
  }

  /** Routes that callers of a service follow, in order of precedence. */
  routesOf(service: string): readonly Entry[] {
    return this.#ofService.get(service) ?? [];
  }

  methodsOf(service: string): readonly MethodInfo[] {
    return this.#methods.get(service) ?? [];
  }

  /** Contract names of a service. */
  contractsOf(service: string): string[] {
    return [...new Set(this.methodsOf(service).map(({ path }) => path.slice(1, path.indexOf("/", 1))))];
  }

  policyAt(target: PolicyTarget, rulePolicy: RuleMatch["rule"]["policy"] = null): EffectivePolicy {
    const layers = layersFor(this.#policies, target);
    if (rulePolicy !== null)
      return resolvePolicy([...layers, { level: Level.rule, source: target.route, spec: rulePolicy }]);
    // Most calls of a system are under the same few: what is made of a policy is made once.
    const key = layers.map(({ level, source }) => `${level} ${source}`).join();
    let policy = this.#resolved.get(key);
    if (policy === undefined) this.#resolved.set(key, (policy = resolvePolicy(layers)));
    return policy;
  }

  /** What holds for a service wherever no route and no method says more. */
  servicePolicy(gateway: boolean, service: string, version: string): EffectivePolicy {
    return this.policyAt({ gateway, service, version, method: "", route: "", rule: "" });
  }

  /** What gates are made of, for calls with these targets: what policy/machine/gates.ts gives to each kind of gate. */
  attachments(place: Place, targets: readonly PolicyTarget[]): Attachments {
    const services = [...new Set(targets.map(({ service }) => service).filter((name) => name !== ""))];
    return {
      place,
      services,
      attachedAt: (kind, service) => {
        const at = service === undefined ? targets : targets.filter((target) => target.service === service);
        return attachedAtAny(this.#attached.get(kind), at) as never;
      },
      all: (kind) => (this.#attached.get(kind)?.values() ?? []) as never,
    };
  }

  all<Kind extends ResourceKind>(kind: Kind): readonly Extract<Resource, { kind: Kind }>[] {
    return (this.#attached.get(kind)?.values() ?? []) as never;
  }
}

export interface Attachments {
  readonly place: Place;
  readonly services: readonly string[];
  attachedAt<Kind extends ResourceKind>(
    kind: Kind,
    service?: string,
  ): readonly (readonly [Level, Extract<Resource, { kind: Kind }>])[];
  all<Kind extends ResourceKind>(kind: Kind): readonly Extract<Resource, { kind: Kind }>[];
}
