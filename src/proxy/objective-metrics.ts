import type { Clock } from "../core/clock.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/**
 * How objectives do, as far as this process has seen their calls; read when somebody asks:
 *
 *     weft_objective_budget_left{objective, kind}        1 untouched, 0 used up, negative beyond
 *     weft_objective_burn_rate{objective, kind, window}  1 uses the budget up in just the objective's window
 *     weft_objective_level{objective}                    0 quiet, 1 slow, 2 fast, 3 spent
 *     weft_objective_shed_total{objective}               calls that it turned away
 */
export function objectiveMetrics(metrics: Metrics, policy: PolicyRuntime, clock: Clock): void {
  const left = metrics.gauge("weft_objective_budget_left", "Share of the error budget that is left.", [
    "objective",
    "kind",
  ]);
  const burn = metrics.gauge(
    "weft_objective_burn_rate",
    "How fast the error budget burns; 1 uses it up in its window.",
    ["objective", "kind", "window"],
  );
  const level = metrics.gauge("weft_objective_level", "Objectives: 0 quiet, 1 burns slowly, 2 burns fast, 3 spent.", [
    "objective",
  ]);
  const shed = metrics.counter("weft_objective_shed_total", "Calls turned away for an objective's sake.", [
    "objective",
  ]);
  metrics.onCollect(() => {
    for (const status of policy.objectives(clock.now())) {
      level.with(status.name).set(LEVELS.indexOf(status.level));
      shed.with(status.name).value = status.shed;
      for (const budget of status.budgets) {
        left.with(status.name, budget.kind).set(rounded(budget.left));
        for (const [window, rate] of Object.entries(budget.burnRates))
          burn.with(status.name, budget.kind, window).set(rounded(rate));
      }
    }
  });
}

/** Without the last digits of a sum of sixty steps: 100, not 99.99999999999991. */
function rounded(value: number): number {
  return Number(value.toFixed(6));
}

const LEVELS = ["quiet", "slow", "fast", "spent"];
