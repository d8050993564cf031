import { createHash } from "node:crypto";
import { codecOf } from "../../contract/codec.ts";
import {
  type Cluster,
  Cluster_DiscoveryType,
  ClusterSchema,
} from "../../contract/gen/envoy/config/cluster/v3/cluster.ts";
import { ClusterLoadAssignmentSchema } from "../../contract/gen/envoy/config/endpoint/v3/endpoint.ts";
import { type Listener, ListenerSchema } from "../../contract/gen/envoy/config/listener/v3/listener.ts";
import { type RouteConfiguration, RouteConfigurationSchema } from "../../contract/gen/envoy/config/route/v3/route.ts";
import type { VirtualHost } from "../../contract/gen/envoy/config/route/v3/route_components.ts";
import { HttpConnectionManagerSchema } from "../../contract/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts";
import { TcpProxySchema } from "../../contract/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.ts";
import { SecretSchema } from "../../contract/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { type Any, create, type DescMessage, type MessageInitShape } from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";
import { CLUSTER, ENDPOINTS, ROUTE, type XdsReference, type XdsResource } from "./types.ts";

/** A message as google.protobuf.Any, for typed_config and the like. */
export function packAny<D extends DescMessage>(schema: D, message: MessageInitShape<D>): AnyInit {
  return { typeUrl: `type.googleapis.com/${schema.typeName}`, value: codecOf(schema).encode(message) };
}

export type AnyInit = Pick<Any, "typeUrl" | "value">;

export const clusterResource = (cluster: MessageInitShape<typeof ClusterSchema>): XdsResource => {
  const message = create(ClusterSchema, cluster);
  return resourceOf(ClusterSchema, message, message.name, needsOfCluster(message));
};

export const endpointsResource = (endpoints: MessageInitShape<typeof ClusterLoadAssignmentSchema>): XdsResource =>
  resourceOf(ClusterLoadAssignmentSchema, endpoints, endpoints.clusterName ?? "", []);

export const routeResource = (routes: MessageInitShape<typeof RouteConfigurationSchema>): XdsResource => {
  const message = create(RouteConfigurationSchema, routes);
  return resourceOf(RouteConfigurationSchema, message, message.name, clustersOf(message));
};

export const listenerResource = (listener: MessageInitShape<typeof ListenerSchema>): XdsResource => {
  const message = create(ListenerSchema, listener);
  return resourceOf(ListenerSchema, message, message.name, needsOfListener(message));
};

export const secretResource = (secret: MessageInitShape<typeof SecretSchema>): XdsResource =>
  resourceOf(SecretSchema, secret, secret.name ?? "", []);

function resourceOf<D extends DescMessage>(
  schema: D,
  message: MessageInitShape<D>,
  name: string,
  needs: readonly XdsReference[],
): XdsResource {
  if (name === "") {
    throw new WeftError("invalid_argument", `a ${schema.name} needs a name: data planes subscribe to it by that`, {
      reason: "NO_NAME",
      place: { field: schema === (ClusterLoadAssignmentSchema as DescMessage) ? "clusterName" : "name" },
    });
  }
  return frozen(schema, name, codecOf(schema).encode(message), needs);
}

function frozen(schema: DescMessage, name: string, bytes: Uint8Array, needs: readonly XdsReference[]): XdsResource {
  const version = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return Object.freeze({ typeUrl: `type.googleapis.com/${schema.typeName}`, name, version, bytes, needs });
}

/** A virtual host as it stands in the bytes of a RouteConfiguration, and the clusters that it names. */
export interface EncodedHost {
  readonly bytes: Uint8Array;
  readonly needs: readonly XdsReference[];
}

export function encodedHost(host: VirtualHost): EncodedHost {
  const bytes = codecOf(RouteConfigurationSchema).encode({ virtualHosts: [host] });
  return { bytes, needs: clustersOf({ virtualHosts: [host], requestMirrorPolicies: [] }) };
}

/** Routes of hosts that are encoded already: fields of a message may follow each other in any order (protobuf's encoding). */
export function routeResourceOf(rest: RouteConfiguration, hosts: readonly EncodedHost[]): XdsResource {
  const bytes = Buffer.concat([
    codecOf(RouteConfigurationSchema).encode({ ...rest, virtualHosts: [] }),
    ...hosts.map((host) => host.bytes),
  ]);
  const needs = new Map<string, XdsReference>();
  for (const host of [{ needs: clustersOf(rest) }, ...hosts]) for (const need of host.needs) needs.set(need.name, need);
  return frozen(RouteConfigurationSchema, rest.name, bytes, [...needs.values()]);
}

function needsOfCluster(cluster: Cluster): XdsReference[] {
  const { clusterDiscoveryType, edsClusterConfig, name } = cluster;
  if (clusterDiscoveryType.case !== "type" || clusterDiscoveryType.value !== Cluster_DiscoveryType.EDS) return [];
  return [{ typeUrl: ENDPOINTS, name: edsClusterConfig?.serviceName || name }];
}

function clustersOf({
  virtualHosts,
  requestMirrorPolicies,
}: Pick<RouteConfiguration, "virtualHosts" | "requestMirrorPolicies">): XdsReference[] {
  const names = new Set<string>();
  for (const { cluster } of requestMirrorPolicies) names.add(cluster);
  for (const host of virtualHosts) {
    for (const { cluster } of host.requestMirrorPolicies) names.add(cluster);
    for (const { action } of host.routes) {
      if (action.case !== "route") continue;
      const { clusterSpecifier, requestMirrorPolicies: mirrors } = action.value;
      for (const { cluster } of mirrors) names.add(cluster);
      if (clusterSpecifier.case === "cluster") names.add(clusterSpecifier.value);
      if (clusterSpecifier.case === "weightedClusters") {
        for (const { name } of clusterSpecifier.value.clusters) names.add(name);
      }
    }
  }
  names.delete("");
  return Array.from(names, (name) => ({ typeUrl: CLUSTER, name }));
}

function needsOfListener({ filterChains, defaultFilterChain, apiListener }: Listener): XdsReference[] {
  const needs: XdsReference[] = [];
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  for (const { filters } of chains) {
    for (const { configType } of filters)
      if (configType.case === "typedConfig") needs.push(...needsOfFilter(configType.value));
  }
  if (apiListener?.apiListener !== undefined) needs.push(...needsOfFilter(apiListener.apiListener));
  return needs;
}

function needsOfFilter({ typeUrl, value }: AnyInit): XdsReference[] {
  if (typeUrl.endsWith(`/${HttpConnectionManagerSchema.typeName}`)) {
    const { routeSpecifier } = codecOf(HttpConnectionManagerSchema).decode(value, 0, value.byteLength);
    if (routeSpecifier.case === "rds") return [{ typeUrl: ROUTE, name: routeSpecifier.value.routeConfigName }];
    return routeSpecifier.case === "routeConfig" ? clustersOf(routeSpecifier.value) : [];
  }
  if (typeUrl.endsWith(`/${TcpProxySchema.typeName}`)) {
    const { clusterSpecifier } = codecOf(TcpProxySchema).decode(value, 0, value.byteLength);
    if (clusterSpecifier.case === "cluster") return [{ typeUrl: CLUSTER, name: clusterSpecifier.value }];
    if (clusterSpecifier.case !== "weightedClusters") return [];
    return clusterSpecifier.value.clusters.map(({ name }) => ({ typeUrl: CLUSTER, name }));
  }
  return [];
}
