import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/**
 * What was injected on purpose, read when somebody asks:
 *
 *     weft_faults_total{policy, kind}   "delay", "abort", "reset", "throttle"
 *     weft_faults_active{policy}        calls that suffer one now
 */
export function faultMetrics(metrics: Metrics, policy: PolicyRuntime): void {
  const totals = metrics.counter("weft_faults_total", "Calls that suffered a fault on purpose, by its kind.", [
    "policy",
    "kind",
  ]);
  const active = metrics.gauge("weft_faults_active", "Calls that suffer a fault on purpose now.", ["policy"]);
  metrics.onCollect(() => {
    for (const [name, faults] of policy.faults()) {
      active.with(name).set(faults.count);
      for (const [kind, count] of Object.entries(faults.totals)) totals.with(name, kind).value = count;
    }
  });
}
