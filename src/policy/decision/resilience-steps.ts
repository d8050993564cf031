import { ms } from "../resource/duration.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import { AttemptKind } from "./attempt-kind.ts";
import type { CallDecision } from "./decision.ts";

export type AddStep = (
  rule: string,
  verdict: string,
  text: string,
  values?: Record<string, number | string>,
  source?: string,
) => void;

/** What hedging, outlier detection, silence and fallbacks did. */
export function addResilience(decision: CallDecision, binding: Binding, add: AddStep): void {
  const { sources, hedge } = binding.policy;
  addOutliers(decision, binding, add);
  for (const { probe, number, binding: at } of decision.attempts) {
    if (probe) add("breaker", "ok", `${at?.name ?? binding.name} is half-open; attempt ${number} is its one probe`);
  }
  for (const { kind, number } of decision.attempts) {
    if (kind !== AttemptKind.hedge) continue;
    const by = hedge !== null && hedge.quantile > 0 ? ` (${hedge.after})` : "";
    const text = `attempt ${number} beside the one before, which had taken ${ms(decision.hedgeAfterMs)}${by}; budget left ${decision.hedgeBudgetLeft}`;
    const values = { afterMs: decision.hedgeAfterMs, budgetLeft: decision.hedgeBudgetLeft };
    add("hedge", "chosen", text, values, sources.hedge ?? "");
  }
  if (decision.hedgeStop !== "") {
    add("hedge", "skipped", `not made: ${HEDGE_STOPS[decision.hedgeStop]}`, {}, sources.hedge ?? "");
  }
  if (decision.idleMs > 0) {
    add("idle", "failed", `no byte either way for ${ms(decision.idleMs)}`, {}, sources.idleTimeout ?? "");
  }
  const { fallback, standby } = decision;
  if (standby !== "") add("fallback", "chosen", `the stand-by ${standby} was asked`, {}, sources.fallback ?? "");
  if (fallback === "" || fallback === "service") return;
  add("fallback", "chosen", FALLBACKS[fallback], {}, fallback === "static" ? (sources.fallback ?? "") : "");
}

/** "12 failed and 0 slow of 20, 3 failures in a row" */
export function breakerText(decision: CallDecision): string {
  const { breakerCalls, breakerFailures, breakerSlow, breakerConsecutive, breakerVoters } = decision;
  if (breakerVoters > 0) return `by the evidence of the fleet, ${breakerVoters} processes`;
  const row = `${breakerConsecutive} failure${breakerConsecutive === 1 ? "" : "s"} in a row`;
  if (breakerCalls === 0) return row;
  const slow = breakerSlow > 0 ? ` and ${breakerSlow} slow` : "";
  return `${breakerFailures} failed${slow} of ${breakerCalls}, ${row}`;
}

/** Endpoints that something speaks against, as they stand when the decision is read: at the call's end. */
function addOutliers({ startedAt, durationMs, plan }: CallDecision, { group, outliers }: Binding, add: AddStep): void {
  if (outliers === null || plan === null) return;
  const now = startedAt + durationMs;
  const { table } = plan.snapshot;
  const found: string[] = [];
  for (const slot of group.slots) {
    const text = outliers.describe(table, slot, now);
    if (text !== "" && found.length < MAX_NAMED) found.push(`${table.endpoints[slot]?.id ?? ""} ${text}`);
  }
  if (found.length > 0) add("outlier", "ok", found.join("; "));
}

const MAX_NAMED = 8;

const HEDGE_STOPS = {
  unknown: "too little is known of the method's latency",
  "not-idempotent": "the call is not idempotent",
  body: "the request body is larger than what is kept",
  breaker: "the breaker is not closed",
  budget: "nothing is left in the hedge budget",
  "no-endpoint": "no other endpoint can take it",
};

const FALLBACKS = {
  static: "answered by the policy's fixed answer",
  stale: "answered by what the cache held",
  function: "answered by the client's fallback function",
};
