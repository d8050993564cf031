import { kept } from "../../core/kept.ts";
import { CacheStores } from "../cache/cache-stores.ts";
import { ActiveFaults } from "../fault/active-faults.ts";
import { LimiterState } from "../limit/limiter.ts";
import type { Objective } from "../objective/objective-resource.ts";
import { ObjectiveState } from "../objective/objective-state.ts";
import { Breaker, type BreakerSettings } from "../resilience/breaker.ts";
import { HedgeBudget } from "../resilience/hedge-budget.ts";
import { LatencyEstimate } from "../resilience/latency-estimate.ts";
import { OutlierDetector } from "../resilience/outlier.ts";
import type { OutlierSettings } from "../resilience/outlier-field.ts";
import { ejectionsByRule, type PolicyStats, ServiceCounters } from "../resilience/policy-stats.ts";
import { type CallBreaker, QuorumBreaker } from "../resilience/quorum-breaker.ts";
import { RetryBudget, type RetryBudgetSettings } from "../resilience/retry-budget.ts";
import type { RateLimit, Resource } from "../resource/resources.ts";
import type { Provider } from "../security/provider.ts";
import type { ExternalAnswer } from "../security/questions.ts";
import { Tallies } from "../security/tallies.ts";
import { VerifiedCache } from "../security/verified-cache.ts";
import { ProcessState } from "./process-state.ts";

/**
 * Breakers, budgets and limiters by what they belong to and how they are set, so that a new snapshot goes on with the state of whatever it
 * leaves as it was.
 */
export class StateKeeper {
  readonly process = new ProcessState();
  /** Outcomes, by provider and by policy. */
  readonly authentications = new Tallies();
  readonly authorizations = new Tallies();
  readonly #providers = new Map<string, Provider>();
  readonly #external = new Map<string, VerifiedCache<ExternalAnswer>>();
  readonly #breakers = new Map<string, CallBreaker>();
  readonly #budgets = new Map<string, RetryBudget>();
  readonly #limiters = new Map<string, LimiterState>();
  readonly #hedgeBudgets = new Map<string, HedgeBudget>();
  readonly #latencies = new Map<string, LatencyEstimate>();
  readonly #outliers = new Map<string, OutlierDetector>();
  readonly #counters = new Map<string, ServiceCounters>();
  readonly #objectives = new Map<string, ObjectiveState>();
  readonly caches = new CacheStores();
  readonly #faults = new Map<string, ActiveFaults>();

  /** `group`: "products" or "products@v1". */
  breaker(group: string, settings: BreakerSettings): CallBreaker {
    const key = `${group} ${JSON.stringify({ ...settings, on: settings.on.names })}`;
    return kept(this.#breakers, key, MAX_KEPT, () => {
      const own = new Breaker(settings);
      return settings.quorum > 0 ? new QuorumBreaker(key, own) : own;
    });
  }

  budget(service: string, settings: RetryBudgetSettings): RetryBudget {
    return kept(this.#budgets, `${service} ${JSON.stringify(settings)}`, MAX_KEPT, () => new RetryBudget(settings));
  }

  hedgeBudget(service: string, ratio: number): HedgeBudget {
    return kept(this.#hedgeBudgets, `${service} ${ratio}`, MAX_KEPT, () => new HedgeBudget(ratio));
  }

  /** How long calls to a method of a backend take. `method` is "" for whatever is not gRPC. */
  latency(group: string, method: string): LatencyEstimate {
    return kept(this.#latencies, `${group} ${method}`, MAX_KEPT, () => new LatencyEstimate());
  }

  /** `group`: "products" or "products@v1". */
  outliers(group: string, settings: OutlierSettings): OutlierDetector {
    return kept(this.#outliers, `${group} ${JSON.stringify(settings)}`, MAX_KEPT, () => new OutlierDetector(settings));
  }

  counters(service: string): ServiceCounters {
    return kept(this.#counters, service, MAX_KEPT, () => new ServiceCounters());
  }

  /** What resilience did, by service. */
  *stats(): Generator<PolicyStats> {
    const breakersOf = byService(this.#breakers);
    const outliersOf = byService(this.#outliers);
    for (const [service, { fallbacks, ...counters }] of this.#counters) {
      const breakers = breakersOf.get(service) ?? [];
      const outliers = outliersOf.get(service) ?? [];
      const states = breakers.map(({ state }) => state);
      yield {
        service,
        ...counters,
        fallbacks: { ...fallbacks },
        ejections: ejectionsByRule(outliers.map(({ ejections }) => ejections)),
        breaker: states.includes("open") ? "open" : states.includes("half-open") ? "half-open" : "closed",
        breakerOpenings: breakers.reduce((sum, { openings }) => sum + openings, 0),
      };
    }
  }

  limiter(limit: RateLimit): LimiterState {
    const { targetRefs: _, ...settings } = limit.spec;
    return kept(
      this.#limiters,
      `${limit.metadata.name} ${JSON.stringify(settings)}`,
      MAX_KEPT,
      () => new LimiterState(limit),
    );
  }

  /** With the tokens that it has verified. */
  provider(key: string, make: () => Provider): Provider {
    return kept(this.#providers, key, MAX_KEPT, make);
  }

  /** Answers of an external authorization, by what was asked. */
  externalAnswers(key: string): VerifiedCache<ExternalAnswer> {
    return kept(this.#external, key, MAX_KEPT, () => new VerifiedCache<ExternalAnswer>());
  }

  faultStates(): Iterable<readonly [string, ActiveFaults]> {
    return this.#faults;
  }

  /** What an objective has seen; its own as long as what it promises stays. */
  objective(objective: Objective): ObjectiveState {
    const { targetRefs: _, shed: _shed, ...promise } = objective.spec;
    const key = `${objective.metadata.name} ${JSON.stringify(promise)}`;
    return kept(this.#objectives, key, MAX_KEPT, () => new ObjectiveState(objective));
  }

  objectives(): Iterable<ObjectiveState> {
    return this.#objectives.values();
  }

  /** Frees what is large and belongs to none of these resources. */
  keepOf(resources: readonly Resource[]): void {
    const caching = resources.filter(
      (resource) => resource.kind === "TrafficPolicy" && resource.spec.cache !== undefined,
    );
    const states = new Set(
      resources.filter((resource) => resource.kind === "Objective").map((each) => this.objective(each)),
    );
    for (const [key, state] of this.#objectives) {
      if (states.has(state)) continue;
      this.#objectives.delete(key);
      this.process.pressure.clear(`Objective ${state.name}`);
    }
    this.caches.keep(new Set(caching.map(({ metadata }) => `TrafficPolicy ${metadata.name}`)));
  }

  /** Of the policy that says what faults there are. */
  faults(source: string): ActiveFaults {
    return kept(this.#faults, source, MAX_KEPT, () => new ActiveFaults());
  }

  limiters(): IterableIterator<LimiterState> {
    return this.#limiters.values();
  }

  /** The breakers that the fleet decides. */
  *quorumBreakers(): Generator<QuorumBreaker> {
    for (const breaker of this.#breakers.values()) if (breaker instanceof QuorumBreaker) yield breaker;
  }

  /** The breakers of a service, all versions and settings. */
  *breakersOf(group: string): Generator<CallBreaker> {
    for (const [key, breaker] of this.#breakers) if (key.startsWith(`${group} `)) yield breaker;
  }
}

/** Settings that nobody uses any more stay behind; that many of them are no longer a system's but a leak. */
const MAX_KEPT = 20_000;

/** What belongs to each service, whatever version and settings: keys are "products {...}" and "products@v1 {...}". */
function byService<T>(states: ReadonlyMap<string, T>): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const [key, state] of states) {
    const service = key.split(" ", 1)[0].split("@", 1)[0];
    const known = found.get(service);
    if (known === undefined) found.set(service, [state]);
    else known.push(state);
  }
  return found;
}
