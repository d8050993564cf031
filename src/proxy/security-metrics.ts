import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Tally } from "../policy/security/tallies.ts";
import type { Counter, Family, Metrics } from "../telemetry/metrics.ts";

/** Exports what policy counts of authentication and authorization: it is looked up when somebody reads, and costs calls nothing here. */
export function securityMetrics(metrics: Metrics, policy: PolicyRuntime): void {
  const { authentications, authorizations } = policy.securityTallies();
  const byProvider = metrics.counter(
    "weft_authentications_total",
    "Callers judged, by the provider of their credential and what came of it.",
    ["provider", "result"],
  );
  const byPolicy = metrics.counter(
    "weft_authorizations_total",
    "Calls judged by rules, by policy and what came of it.",
    ["policy", "result"],
  );
  metrics.onCollect(() => {
    take(authentications, byProvider);
    take(authorizations, byPolicy);
  });
}

function take(tallies: Iterable<Tally>, family: Family<Counter>): void {
  for (const { label, result, count } of tallies) family.with(label, result).value = count;
}
