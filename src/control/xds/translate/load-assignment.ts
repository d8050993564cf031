import { isIP } from "node:net";
import type { Endpoint, Health } from "../../../core/endpoint.ts";
import type { BalancerSettings } from "../../../policy/balance/balancer-settings.ts";
import { compact, type Document } from "./document.ts";

/** What of a balancer's settings says which endpoints come first: endpoints are encoded once for all whose settings agree in it. */
export interface Placement {
  /** Weights count. */
  readonly weighted: boolean;
  /** Zones in the order in which they follow the caller's own; null where zones make no order. */
  readonly zoneOrder: readonly string[] | null;
  /** Of the caller, as far as it matters. */
  readonly zone: string;
  readonly priorityFrom: string;
  readonly overprovisioning: number;
  /** Metadata that subsets go by. */
  readonly subsetKeys: readonly string[];
}

export function placementOf(balancer: BalancerSettings, zone: string): Placement {
  const failover = balancer.zones === "failover";
  return {
    weighted: balancer.kind !== "round-robin" && balancer.kind !== "random",
    zoneOrder: failover ? balancer.zoneOrder : null,
    zone: failover ? zone : "",
    priorityFrom: balancer.priorityFrom,
    overprovisioning: balancer.overprovisioning,
    subsetKeys: balancer.subset?.match.map(({ key }) => key) ?? [],
  };
}

/** config.endpoint.v3.ClusterLoadAssignment: zones are localities, and what has priority is told by priorities without a gap. */
export function loadAssignment(
  name: string,
  endpoints: readonly Endpoint[],
  http2: boolean,
  placement: Placement,
): Document {
  const groups = new Map<string, { priority: number; zone: string; members: Endpoint[] }>();
  for (const endpoint of endpoints) {
    // One cluster speaks one protocol; where versions of a service differ, they are backends of their own.
    if (!(http2 ? HTTP2 : HTTP1).includes(endpoint.protocol)) continue;
    const priority = priorityOf(endpoint, placement);
    const key = `${priority} ${endpoint.zone}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { priority, zone: endpoint.zone, members: [endpoint] });
    else group.members.push(endpoint);
  }
  const ordered = [...groups.values()].sort((a, b) => a.priority - b.priority || (a.zone < b.zone ? -1 : 1));
  const levels = [...new Set(ordered.map(({ priority }) => priority))];
  return compact({
    cluster_name: name,
    endpoints: ordered.map(({ priority, zone, members }) => {
      const lb = members.map((endpoint) => lbEndpoint(endpoint, placement));
      return {
        locality: { zone },
        priority: levels.indexOf(priority),
        lb_endpoints: lb,
        load_balancing_weight: lb.reduce(
          (sum, { load_balancing_weight }) => sum + (load_balancing_weight as number),
          0,
        ),
      };
    }),
    policy:
      placement.overprovisioning === 1.4
        ? undefined
        : { overprovisioning_factor: Math.round(placement.overprovisioning * 100) },
  });
}

function lbEndpoint(
  { id, host, port, weight, health, protocol, identity, version, zone, metadata }: Endpoint,
  { weighted, subsetKeys }: Placement,
): Document {
  const kind = identity !== undefined ? "mesh" : protocol === "h2" ? "tls" : "";
  const subset = Object.fromEntries(
    subsetKeys.flatMap((key) => {
      const value = key === "version" ? version : key === "zone" ? zone : metadata[key];
      return value === undefined ? [] : [[key, value]];
    }),
  );
  const filters = {
    ...(kind === "" ? {} : { "envoy.transport_socket_match": { weft: kind } }),
    ...(Object.keys(subset).length === 0 ? {} : { "envoy.lb": subset }),
  };
  return compact({
    endpoint: compact({
      address: { socket_address: { address: host, port_value: port } },
      hostname: isIP(host) === 0 ? host : id,
    }),
    health_status: HEALTH[health],
    load_balancing_weight: weighted ? Math.min(MAX_WEIGHT, Math.max(1, Math.round(weight * 100))) : 100,
    metadata: Object.keys(filters).length === 0 ? undefined : { filter_metadata: filters },
  });
}

function priorityOf({ zone, metadata }: Endpoint, { zoneOrder, zone: own, priorityFrom }: Placement): number {
  const level = priorityFrom === "" ? 0 : wholeNumber(metadata[priorityFrom]);
  if (zoneOrder === null) return level;
  const at = zoneOrder.indexOf(zone);
  const byZone = zone === own && own !== "" ? 0 : at >= 0 ? at + 1 : zoneOrder.length + 1;
  return level * (zoneOrder.length + 2) + byZone;
}

function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,3}$/.test(text) ? Number(text) : 0;
}

const HTTP2: readonly string[] = ["h2c", "h2"];
const HTTP1: readonly string[] = ["http1"];
const HEALTH: Readonly<Record<Health, string>> = { healthy: "HEALTHY", unhealthy: "UNHEALTHY", draining: "DRAINING" };
/** Of a whole locality at most 2^32 - 1. */
const MAX_WEIGHT = 1_000_000;
