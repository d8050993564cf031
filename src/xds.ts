/** `weftmesh/xds`: resources for Envoy and proxyless gRPC with typed builders, and the server that data planes take them from. */

export { CorsSchema } from "./contract/gen/envoy/extensions/filters/http/cors/v3/cors.ts";
export { HTTPFaultSchema } from "./contract/gen/envoy/extensions/filters/http/fault/v3/fault.ts";
export { JwtAuthenticationSchema } from "./contract/gen/envoy/extensions/filters/http/jwt_authn/v3/config.ts";
export { LocalRateLimitSchema } from "./contract/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.ts";
export { LuaSchema } from "./contract/gen/envoy/extensions/filters/http/lua/v3/lua.ts";
export { RBACSchema } from "./contract/gen/envoy/extensions/filters/http/rbac/v3/rbac.ts";
export { type ClusterOptions, cluster } from "./control/xds/builders/cluster.ts";
export { type EndpointOptions, endpoints } from "./control/xds/builders/endpoints.ts";
export { type ListenerOptions, listener } from "./control/xds/builders/listener.ts";
export {
  type RouteInit,
  type RouteMatchOptions,
  type RouteOptions,
  route,
  routeConfiguration,
  type VirtualHostInit,
  virtualHost,
} from "./control/xds/builders/routes.ts";
export { type SecretOptions, secret } from "./control/xds/builders/secret.ts";
export { type AnyInit, packAny as pack } from "./control/xds/resource.ts";
export { type ServeXdsOptions, serveXds, type XdsServer } from "./control/xds/serve-xds.ts";
export type { XdsLoad, XdsPlane } from "./control/xds/status.ts";
export type { Refusal } from "./control/xds/subscription.ts";
export type { XdsNode, XdsReference, XdsResource } from "./control/xds/types.ts";
