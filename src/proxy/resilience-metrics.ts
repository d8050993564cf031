import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/**
 * What retries, hedges, breakers, outlier detection and fallbacks did, read when somebody asks:
 *
 *     weft_retries_total{service, verdict}      "made", or "refused" by the budget or limits.maxRetries
 *     weft_hedges_total{service, verdict}       "made", those of them that "won", or "refused" by the budget
 *     weft_breaker_state{service}               0 closed, 1 half-open, 2 open: the worst of the service's breakers
 *     weft_breaker_openings_total{service}
 *     weft_outlier_ejections_total{service, rule}
 *     weft_fallbacks_total{service, kind}       "static", "stale", "service", "function"
 */
export function resilienceMetrics(metrics: Metrics, policy: PolicyRuntime): void {
  const retries = metrics.counter("weft_retries_total", "Retries: made, and refused by a budget.", [
    "service",
    "verdict",
  ]);
  const hedges = metrics.counter("weft_hedges_total", "Hedges: made, won, and refused by their budget.", [
    "service",
    "verdict",
  ]);
  const breakers = metrics.gauge("weft_breaker_state", "Breakers: 0 closed, 1 half-open, 2 open.", ["service"]);
  const openings = metrics.counter("weft_breaker_openings_total", "How often breakers opened.", ["service"]);
  const ejections = metrics.counter("weft_outlier_ejections_total", "Endpoints ejected as outliers, by rule.", [
    "service",
    "rule",
  ]);
  const fallbacks = metrics.counter("weft_fallbacks_total", "Calls answered by a fallback, by kind.", [
    "service",
    "kind",
  ]);
  metrics.onCollect(() => {
    for (const stats of policy.stats()) {
      const { service } = stats;
      retries.with(service, "made").value = stats.retries;
      retries.with(service, "refused").value = stats.retriesRefused;
      hedges.with(service, "made").value = stats.hedges;
      hedges.with(service, "won").value = stats.hedgesWon;
      hedges.with(service, "refused").value = stats.hedgesRefused;
      breakers.with(service).set(STATES.indexOf(stats.breaker));
      openings.with(service).value = stats.breakerOpenings;
      for (const [rule, count] of Object.entries(stats.ejections)) ejections.with(service, rule).value = count;
      for (const [kind, count] of Object.entries(stats.fallbacks))
        if (count > 0) fallbacks.with(service, kind).value = count;
    }
  });
}

const STATES = ["closed", "half-open", "open"];
