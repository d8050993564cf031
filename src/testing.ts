/** `weftmesh/testing`: a mesh in virtual time, for unit tests of systems and their policies. */

export { assertCovered, type CoverageOptions, coverage, readResources } from "./testing/assert-covered.ts";
export type { Coverage, CoveredRule } from "./testing/coverage.ts";
export { type GivenSettings, giveSettings } from "./testing/given-settings.ts";
export type { LatencyModel } from "./testing/latency.ts";
export { simulate } from "./testing/simulate.ts";
export type * from "./testing/types.ts";
