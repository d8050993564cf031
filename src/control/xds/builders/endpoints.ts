import type { HealthStatus } from "../../../contract/gen/envoy/config/core/v3/health_check.ts";
import { HealthStatus as Health } from "../../../contract/gen/envoy/config/core/v3/health_check.ts";
import type { ClusterLoadAssignmentSchema } from "../../../contract/gen/envoy/config/endpoint/v3/endpoint.ts";
import type { JsonObject, MessageInitShape } from "../../../contract/runtime.ts";
import { endpointsResource } from "../resource.ts";
import type { XdsResource } from "../types.ts";
import { countOf, hostPortOf, socketAddress } from "./common.ts";

export interface EndpointOptions {
  /** "10.0.0.7:9000" */
  readonly address: string;
  /** Relative share of the calls. Default 1. */
  readonly weight?: number;
  readonly zone?: string;
  /** 0 is used first. Default 0. */
  readonly priority?: number;
  /** Default "healthy". */
  readonly health?: "healthy" | "unhealthy" | "draining";
  /** By which subsets of endpoints are chosen (namespace envoy.lb): { version: "v2" }. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The endpoints of a cluster without addresses of its own: they may change without the cluster. Throws `invalid_argument` (BAD_ADDRESS, BAD_NUMBER). */
export function endpoints(cluster: string, list: readonly (string | EndpointOptions)[]): XdsResource {
  return endpointsResource(loadAssignment(cluster, list));
}

export function loadAssignment(
  clusterName: string,
  list: readonly (string | EndpointOptions)[],
): MessageInitShape<typeof ClusterLoadAssignmentSchema> {
  const groups = new Map<string, EndpointOptions[]>();
  for (const one of list) {
    const endpoint = typeof one === "string" ? { address: one } : one;
    const key = `${endpoint.priority ?? 0}/${endpoint.zone ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), endpoint]);
  }
  return {
    clusterName,
    endpoints: Array.from(groups.values(), (group) => ({
      priority: countOf(group[0].priority ?? 0, 0, "priority"),
      locality: { zone: group[0].zone ?? "" },
      // A group without a weight is none to gRPC.
      loadBalancingWeight: group.reduce((sum, { weight = 1 }) => sum + weight, 0),
      lbEndpoints: group.map(({ address, weight = 1, health = "healthy", metadata }) => ({
        healthStatus: HEALTH[health],
        loadBalancingWeight: countOf(weight, 1, "weight"),
        hostIdentifier: {
          case: "endpoint" as const,
          value: { address: socketAddress(hostPortOf(address, "address")) },
        },
        ...(metadata !== undefined && { metadata: { filterMetadata: { "envoy.lb": { ...metadata } as JsonObject } } }),
      })),
    })),
  };
}

const HEALTH: Readonly<Record<string, HealthStatus>> = {
  healthy: Health.HEALTHY,
  unhealthy: Health.UNHEALTHY,
  draining: Health.DRAINING,
};
