import type { Resource } from "../resource/resources.ts";
import { oldestFirst, routeEntries } from "./route-entries.ts";
import type { RouteEntry } from "./route-table.ts";
import type { RuleMatch } from "./rule.ts";

/** What a system's routes say, by who follows them: the gateway, and callers of each service (GAMMA). */
export interface EntriesByParent {
  readonly gateway: readonly RouteEntry<RuleMatch>[];
  readonly services: ReadonlyMap<string, readonly RouteEntry<RuleMatch>[]>;
}

export function entriesByParent(resources: readonly Resource[]): EntriesByParent {
  const gateway: RouteEntry<RuleMatch>[] = [];
  const services = new Map<string, RouteEntry<RuleMatch>[]>();
  let order = 0;
  for (const resource of oldestFirst(resources)) {
    if (resource.kind !== "HTTPRoute" && resource.kind !== "GRPCRoute") continue;
    const entries = routeEntries(resource, order);
    order += entries.length;
    const parents = resource.spec.parentRefs ?? [];
    if (parents.length === 0 || parents.some(({ kind }) => kind !== "Service")) gateway.push(...entries);
    for (const { kind, name } of parents) {
      if (kind !== "Service") continue;
      const known = services.get(name);
      // A service's routes see calls whatever host they name.
      const anyHost = entries.map((entry) => ({ ...entry, hostnames: [] }));
      if (known === undefined) services.set(name, anyHost);
      else known.push(...anyHost);
    }
  }
  return { gateway, services };
}
