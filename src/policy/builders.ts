/** Typed builders of resources, for `weft.config.ts`. */

export type { TargetInput } from "./builder-parts.ts";
export { type RateLimitBuilder, rateLimit } from "./rate-limit-builder.ts";
export { type HeaderChanges, type RouteBuilder, route } from "./route-builder.ts";
export { type FallbackInput, type FallbackStatus, type TrafficBuilder, traffic } from "./traffic-builder.ts";
