import type { Clock } from "../core/clock.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";

/**
 * What the admin address says of decisions: `?id=REQUEST-ID` those of one call, otherwise the newest (`?failed=true` of those that failed; `?limit=N`, at
 * most 100).
 */
export function decisionPage(policy: PolicyRuntime, clock: Clock): (query: URLSearchParams) => unknown {
  return (query) => {
    const { journal } = policy;
    const limit = Math.min(Number(query.get("limit")) || 20, 100);
    const id = query.get("id");
    const calls =
      (id === null ? journal?.newest(limit, query.get("failed") === "true") : journal?.find(id, limit)) ?? [];
    const epochMs = clock.wallMs() - clock.now();
    return {
      revision: policy.revision,
      endpointVersion: policy.endpointVersion,
      decisions: calls.map(({ request, decision }) => ({ request, startedMs: epochMs + decision.startedAt, decision })),
    };
  };
}
