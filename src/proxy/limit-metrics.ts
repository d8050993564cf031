import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/**
 * Exports what limits and admission did; policy counts, and is read when somebody reads:
 *
 *     weft_limited_total{limit, verdict}       calls that met a RateLimit: passed, waited (of those), denied, shadow, alone (decided by the own share)
 *     weft_shed_total{reason, priority}        calls that admission turned away
 *     weft_concurrency_limit{service}          calls that may be in flight, as the adaptive limit has it; 0 while it sets none
 *     weft_concurrency_in_flight{service}      those that are
 *     weft_concurrency_refused_total{service}
 */
export function limitMetrics(metrics: Metrics, policy: PolicyRuntime): void {
  const limited = metrics.counter("weft_limited_total", "Calls that met a rate limit, by what it decided.", [
    "limit",
    "verdict",
  ]);
  const shed = metrics.counter("weft_shed_total", "Calls that admission turned away.", ["reason", "priority"]);
  const limit = metrics.gauge("weft_concurrency_limit", "Calls that may be in flight; 0 while there is no limit.", [
    "service",
  ]);
  const inFlight = metrics.gauge("weft_concurrency_in_flight", "Calls in flight that an adaptive limit counts.", [
    "service",
  ]);
  const refused = metrics.counter("weft_concurrency_refused_total", "Calls beyond the adaptive limit.", ["service"]);
  metrics.onCollect(() => {
    const totals = new Map<string, Record<string, number>>();
    for (const { name, counts } of policy.limitCounts()) {
      const total = totals.get(name) ?? { passed: 0, waited: 0, denied: 0, shadow: 0, alone: 0 };
      for (const verdict of Object.keys(total)) total[verdict] += counts[verdict as keyof typeof counts];
      totals.set(name, total);
    }
    for (const [name, total] of totals)
      for (const [verdict, count] of Object.entries(total)) limited.with(name, verdict).value = count;
    for (const [reason, counts] of policy.process.shed)
      counts.forEach((count, priority) => {
        if (count > 0) shed.with(reason, String(priority)).value = count;
      });
    for (const { name, current, inFlight: running, refused: beyond } of policy.process.adaptiveLimits) {
      limit.with(name).set(current === Number.POSITIVE_INFINITY ? 0 : current);
      inFlight.with(name).set(running);
      refused.with(name).value = beyond;
    }
  });
}
