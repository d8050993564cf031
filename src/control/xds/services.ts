import { ClusterDiscoveryService } from "../../contract/gen/envoy/service/cluster/v3/cds.ts";
import { AggregatedDiscoveryService } from "../../contract/gen/envoy/service/discovery/v3/ads.ts";
import type {
  DeltaDiscoveryRequest,
  DiscoveryRequest,
} from "../../contract/gen/envoy/service/discovery/v3/discovery.ts";
import { EndpointDiscoveryService } from "../../contract/gen/envoy/service/endpoint/v3/eds.ts";
import { ListenerDiscoveryService } from "../../contract/gen/envoy/service/listener/v3/lds.ts";
import { RouteDiscoveryService } from "../../contract/gen/envoy/service/route/v3/rds.ts";
import { SecretDiscoveryService } from "../../contract/gen/envoy/service/secret/v3/sds.ts";
import { type AnyServiceDefinition, service } from "../../service/definition.ts";
import type { ServerCall } from "../../service/server-call.ts";
import { type AdsCall, type AdsShared, delta, stateOfTheWorld, type XdsLimits } from "./ads-stream.ts";
import { createClientStatusService } from "./client-status.ts";
import { createLoadReportingService } from "./load-reporting.ts";
import { CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET } from "./types.ts";

/** The xDS v3 services: aggregated discovery, that of each type, load reports and client status. `serve` puts them on a port. */
export function createXdsServices(shared: AdsShared): AnyServiceDefinition[] {
  const sotw = (only: string | null) => (requests: AsyncIterable<DiscoveryRequest>, call: ServerCall) =>
    stateOfTheWorld(shared, requests, adsCall(call, only));
  const changes = (only: string | null) => (requests: AsyncIterable<DeltaDiscoveryRequest>, call: ServerCall) =>
    delta(shared, requests, adsCall(call, only));
  return [
    service(AggregatedDiscoveryService, {
      streamAggregatedResources: sotw(null),
      deltaAggregatedResources: changes(null),
    }),
    service(ListenerDiscoveryService, { streamListeners: sotw(LISTENER), deltaListeners: changes(LISTENER) }),
    service(RouteDiscoveryService, { streamRoutes: sotw(ROUTE), deltaRoutes: changes(ROUTE) }),
    service(ClusterDiscoveryService, { streamClusters: sotw(CLUSTER), deltaClusters: changes(CLUSTER) }),
    service(EndpointDiscoveryService, { streamEndpoints: sotw(ENDPOINTS), deltaEndpoints: changes(ENDPOINTS) }),
    service(SecretDiscoveryService, { streamSecrets: sotw(SECRET), deltaSecrets: changes(SECRET) }),
    createLoadReportingService(shared, tokenOf),
    createClientStatusService(shared.status),
  ];
}

export const defaultXdsLimits: XdsLimits = Object.freeze({
  maxNames: 10_000,
  maxNameLength: 1_024,
  maxTypes: 16,
  maxStreams: 20_000,
  settleMs: 2_000,
  firstRequestMs: 10_000,
});

/** By which a data plane proves what it is. */
const TOKEN_HEADER = "x-weft-join-token";

function tokenOf({ requestHeaders }: ServerCall): string | null {
  return requestHeaders.get(TOKEN_HEADER) ?? null;
}

function adsCall(call: ServerCall, only: string | null): AdsCall {
  return { signal: call.signal, address: call.peer.address, token: tokenOf(call), only };
}
