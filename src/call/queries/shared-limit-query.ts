import type { SharedLimitRequest, SharedLimits } from "../../policy/limit/shared-limit.ts";
import type { QueryHandler } from "./queries.ts";

/** Answers queries of kind "shared-limit" from whoever keeps the limits: a store, or leases (policy/limit/leased-limits.ts). */
export function sharedLimitQuery(limits: SharedLimits): QueryHandler {
  return ({ about }, answer) => limits.take(about as SharedLimitRequest, answer);
}
