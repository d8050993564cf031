/**
 * `weftmesh/contract`: what generated code imports, and weft's contract layer for those who build on it.
 */

export { codecOf, scratch } from "./codec.ts";
export * from "./gen/google/api/annotations.ts";
export * from "./gen/google/api/http.ts";
export * from "./gen/google/api/httpbody.ts";
export * from "./gen/google/rpc/error_details.ts";
export * from "./gen/google/rpc/status.ts";
export * from "./runtime.ts";
export type { Codec } from "./types.ts";
