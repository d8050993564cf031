import type { SharedLimitRequest, SharedLimits } from "../../policy/limit/shared-limit.ts";
import type { QueryHandler } from "./queries.ts";

/** Answers queries of kind "shared-limit". `limits` is asked for at each, since it may not be there yet; without any the process keeps to its share. */
export function sharedLimitQuery(limits: () => SharedLimits | null): QueryHandler {
  return ({ about }, answer) => {
    const shared = limits();
    if (shared === null) answer(null);
    else shared.take(about as SharedLimitRequest, answer);
  };
}
