/** Typed builders of resources, for `weft.config.ts`. */

export type { CacheSpec } from "./cache/cache-field.ts";
export type { FaultSpec } from "./fault/fault-field.ts";
export { type ObjectiveBuilder, objective } from "./objective/objective-builder.ts";
export type { BurnSpec, Objective, ObjectiveSpec, ShedSpec } from "./objective/objective-resource.ts";
export type { TargetInput } from "./resource/builder-parts.ts";
export { type GrpcRouteBuilder, grpcRoute } from "./resource/grpc-route-builder.ts";
export { type RateLimitBuilder, rateLimit } from "./resource/rate-limit-builder.ts";
export {
  type BackendInput,
  type BackendOptions,
  type HeaderChanges,
  type RouteBuilder,
  route,
  type SessionInput,
} from "./resource/route-builder.ts";
export {
  type BalancerOptions,
  type FallbackInput,
  type FallbackStatus,
  type TrafficBuilder,
  traffic,
} from "./resource/traffic-builder.ts";
export { type SessionRouteBuilder, tcpRoute, tlsRoute, udpRoute } from "./route/session-route-builder.ts";
export {
  type AuthenticationBuilder,
  authentication,
  type ProviderOptions,
} from "./security/authentication-builder.ts";
export { type AuthorizationBuilder, authorization } from "./security/authorization-builder.ts";
export { scryptHash } from "./security/scrypt.ts";
