import { ClusterSchema } from "../../../contract/gen/envoy/config/cluster/v3/cluster.ts";
import { ClusterLoadAssignmentSchema } from "../../../contract/gen/envoy/config/endpoint/v3/endpoint.ts";
import { ListenerSchema } from "../../../contract/gen/envoy/config/listener/v3/listener.ts";
import { RouteConfigurationSchema } from "../../../contract/gen/envoy/config/route/v3/route.ts";
import { FilterConfigSchema, VirtualHostSchema } from "../../../contract/gen/envoy/config/route/v3/route_components.ts";
import { ExpressionFilterSchema } from "../../../contract/gen/envoy/extensions/access_loggers/filters/cel/v3/cel.ts";
import { StderrAccessLogSchema } from "../../../contract/gen/envoy/extensions/access_loggers/stream/v3/stream.ts";
import { CorsPolicySchema, CorsSchema } from "../../../contract/gen/envoy/extensions/filters/http/cors/v3/cors.ts";
import { ExtAuthzSchema } from "../../../contract/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz.ts";
import { HTTPFaultSchema } from "../../../contract/gen/envoy/extensions/filters/http/fault/v3/fault.ts";
import { HeaderMutationSchema } from "../../../contract/gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation.ts";
import {
  JwtAuthenticationSchema,
  PerRouteConfigSchema,
} from "../../../contract/gen/envoy/extensions/filters/http/jwt_authn/v3/config.ts";
import { LocalRateLimitSchema } from "../../../contract/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.ts";
import { RBACPerRouteSchema, RBACSchema } from "../../../contract/gen/envoy/extensions/filters/http/rbac/v3/rbac.ts";
import { RouterSchema } from "../../../contract/gen/envoy/extensions/filters/http/router/v3/router.ts";
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from "../../../contract/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session.ts";
import { TlsInspectorSchema } from "../../../contract/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.ts";
import { HttpConnectionManagerSchema } from "../../../contract/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts";
import { CookieBasedSessionStateSchema } from "../../../contract/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie.ts";
import { HeaderBasedSessionStateSchema } from "../../../contract/gen/envoy/extensions/http/stateful_session/header/v3/header.ts";
import { ClientSideWeightedRoundRobinSchema } from "../../../contract/gen/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.ts";
import { LeastRequestSchema } from "../../../contract/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request.ts";
import { MaglevSchema } from "../../../contract/gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev.ts";
import { RandomSchema } from "../../../contract/gen/envoy/extensions/load_balancing_policies/random/v3/random.ts";
import { RingHashSchema } from "../../../contract/gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.ts";
import { RoundRobinSchema } from "../../../contract/gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.ts";
import { SubsetSchema } from "../../../contract/gen/envoy/extensions/load_balancing_policies/subset/v3/subset.ts";
import { PreviousHostsPredicateSchema } from "../../../contract/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.ts";
import { SecretSchema } from "../../../contract/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from "../../../contract/gen/envoy/extensions/transport_sockets/tls/v3/tls.ts";
import { HttpProtocolOptionsSchema } from "../../../contract/gen/envoy/extensions/upstreams/http/v3/http_protocol_options.ts";
import { createRegistry, fromJson, type JsonValue } from "../../../contract/runtime.ts";
import {
  clusterResource,
  type EncodedHost,
  encodedHost,
  endpointsResource,
  listenerResource,
  routeResource,
  routeResourceOf,
  secretResource,
} from "../resource.ts";
import { CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET, type XdsResource } from "../types.ts";
import type { Document } from "./document.ts";

/** The message types that stand in typed_config. */
const registry = createRegistry(
  FilterConfigSchema,
  ExpressionFilterSchema,
  StderrAccessLogSchema,
  CorsSchema,
  CorsPolicySchema,
  ExtAuthzSchema,
  HTTPFaultSchema,
  HeaderMutationSchema,
  JwtAuthenticationSchema,
  PerRouteConfigSchema,
  LocalRateLimitSchema,
  RBACSchema,
  RBACPerRouteSchema,
  RouterSchema,
  StatefulSessionSchema,
  StatefulSessionPerRouteSchema,
  TlsInspectorSchema,
  HttpConnectionManagerSchema,
  CookieBasedSessionStateSchema,
  HeaderBasedSessionStateSchema,
  ClientSideWeightedRoundRobinSchema,
  LeastRequestSchema,
  MaglevSchema,
  RandomSchema,
  RingHashSchema,
  RoundRobinSchema,
  SubsetSchema,
  PreviousHostsPredicateSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  HttpProtocolOptionsSchema,
);

/** Virtual hosts by their documents: from one revision to the next most stay as they are, and what is remembered is not encoded anew. */
export class EncodedHosts {
  #hosts = new Map<string, EncodedHost>();
  #before = new Map<string, EncodedHost>();

  /** From now on what is not asked for is forgotten the next time. */
  turn(): void {
    this.#before = this.#hosts;
    this.#hosts = new Map();
  }

  /** A RouteConfiguration, which has a name. */
  resource({ virtual_hosts = [], ...rest }: Document): XdsResource {
    const hosts = (virtual_hosts as readonly Document[]).map((document) => {
      const key = JSON.stringify(document);
      const host =
        this.#hosts.get(key) ??
        this.#before.get(key) ??
        encodedHost(fromJson(VirtualHostSchema, document as unknown as JsonValue, { registry }));
      this.#hosts.set(key, host);
      return host;
    });
    return routeResourceOf(fromJson(RouteConfigurationSchema, rest as unknown as JsonValue, { registry }), hosts);
  }
}

/** A document as the resource that is sent; throws for a field that proto/envoy does not have. */
export function encodeResource(typeUrl: string, document: Document): XdsResource {
  const json = document as unknown as JsonValue;
  const options = { registry };
  switch (typeUrl) {
    case LISTENER:
      return listenerResource(fromJson(ListenerSchema, json, options));
    case ROUTE:
      return routeResource(fromJson(RouteConfigurationSchema, json, options));
    case CLUSTER:
      return clusterResource(fromJson(ClusterSchema, json, options));
    case ENDPOINTS:
      return endpointsResource(fromJson(ClusterLoadAssignmentSchema, json, options));
    case SECRET:
      return secretResource(fromJson(SecretSchema, json, options));
    default:
      throw new TypeError(`${typeUrl} is no type of resource`);
  }
}
