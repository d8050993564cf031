import type { BreakerState } from "./breaker.ts";
import { OUTLIER_RULES } from "./outlier.ts";

/** What resilience did for the calls of one service, counted since the process began; for metrics and dashboards. */
export interface PolicyStats {
  readonly service: string;
  readonly retries: number;
  /** Retries that the budget, or maxRetries, did not allow. */
  readonly retriesRefused: number;
  readonly hedges: number;
  /** Hedges whose answer was delivered. */
  readonly hedgesWon: number;
  /** Hedges that their budget did not allow. */
  readonly hedgesRefused: number;
  /** By kind: "static", "stale", "service", "function". */
  readonly fallbacks: Readonly<Record<FallbackKind, number>>;
  /** By rule (OUTLIER_RULES), those that happened. */
  readonly ejections: Readonly<Record<string, number>>;
  /** The worst of its breakers. */
  readonly breaker: BreakerState;
  readonly breakerOpenings: number;
}

export type FallbackKind = "static" | "stale" | "service" | "function";

/** The counters that calls write. One a service. */
export class ServiceCounters {
  retries = 0;
  retriesRefused = 0;
  hedges = 0;
  hedgesWon = 0;
  hedgesRefused = 0;
  readonly fallbacks: Record<FallbackKind, number> = { static: 0, stale: 0, service: 0, function: 0 };
}

export function ejectionsByRule(counts: Iterable<readonly number[]>): Record<string, number> {
  const byRule: Record<string, number> = {};
  for (const ejections of counts)
    ejections.forEach((count, rule) => {
      if (count > 0) byRule[OUTLIER_RULES[rule]] = (byRule[OUTLIER_RULES[rule]] ?? 0) + count;
    });
  return byRule;
}
