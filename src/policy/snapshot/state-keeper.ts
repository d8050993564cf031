import { LimiterState } from "../limit/limiter.ts";
import { Breaker, type BreakerSettings } from "../resilience/breaker.ts";
import { RetryBudget, type RetryBudgetSettings } from "../resilience/retry-budget.ts";
import type { RateLimit } from "../resource/resources.ts";

/**
 * Breakers, budgets and limiters by what they belong to and how they are set, so that a new snapshot goes on with the state of whatever it
 * leaves as it was.
 */
export class StateKeeper {
  readonly #breakers = new Map<string, Breaker>();
  readonly #budgets = new Map<string, RetryBudget>();
  readonly #limiters = new Map<string, LimiterState>();

  /** `group`: "products" or "products@v1". */
  breaker(group: string, settings: BreakerSettings): Breaker {
    const key = `${group} ${JSON.stringify({ ...settings, on: settings.on.names })}`;
    return kept(this.#breakers, key, () => new Breaker(settings));
  }

  budget(service: string, settings: RetryBudgetSettings): RetryBudget {
    return kept(this.#budgets, `${service} ${JSON.stringify(settings)}`, () => new RetryBudget(settings));
  }

  limiter(limit: RateLimit): LimiterState {
    const { targetRefs: _, ...settings } = limit.spec;
    return kept(this.#limiters, `${limit.metadata.name} ${JSON.stringify(settings)}`, () => new LimiterState(limit));
  }

  /** The breakers of a service, all versions and settings. */
  *breakersOf(group: string): Generator<Breaker> {
    for (const [key, breaker] of this.#breakers) if (key.startsWith(`${group} `)) yield breaker;
  }
}

/** Settings that nobody uses any more stay behind; that many of them are no longer a system's but a leak. */
const MAX_KEPT = 20_000;

function kept<T>(states: Map<string, T>, key: string, make: () => T): T {
  let state = states.get(key);
  if (state === undefined) {
    if (states.size >= MAX_KEPT) states.delete(states.keys().next().value as string);
    states.set(key, (state = make()));
  }
  return state;
}
