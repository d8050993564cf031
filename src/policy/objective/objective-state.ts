import { type BurnSpec, DEFAULT_BURNS, type Objective, type ObjectiveSpec, windowMs } from "./objective-resource.ts";
import { SlidingCount } from "./sliding-count.ts";

/** How an objective's budget does, from good to bad. */
export const BurnLevel = { quiet: 0, slow: 1, fast: 2, spent: 3 } as const;
export type BurnLevel = (typeof BurnLevel)[keyof typeof BurnLevel];
export const LEVEL_NAMES = ["quiet", "slow", "fast", "spent"] as const;

/** What an objective has seen, in this process. Kept across snapshots as long as what it promises stays. */
export class ObjectiveState {
  readonly name: string;
  readonly budgets: readonly ErrorBudget[];
  readonly availability: ErrorBudget | null;
  readonly latency: ErrorBudget | null;
  level: BurnLevel = BurnLevel.quiet;
  /** Calls turned away for its sake. */
  shed = 0;
  readonly #minCalls: number;
  #seenAt = Number.NEGATIVE_INFINITY;

  constructor({ metadata, spec }: Objective) {
    this.name = metadata.name;
    const { availability, latency, minCalls = 100 } = spec;
    this.availability =
      availability === undefined ? null : new ErrorBudget("availability", availability.target / 100, spec);
    this.latency = latency === undefined ? null : new ErrorBudget("latency", latency.target / 100, spec);
    this.budgets = [this.availability, this.latency].filter((budget) => budget !== null);
    this.#minCalls = minCalls;
  }

  /** The level now; looked at anew at most once a second. */
  see(now: number): BurnLevel {
    if (now - this.#seenAt < LOOK_MS) return this.level;
    this.#seenAt = now;
    let level: BurnLevel = BurnLevel.quiet;
    for (const budget of this.budgets) level = Math.max(level, budget.level(this.#minCalls, now)) as BurnLevel;
    this.level = level;
    return level;
  }

  /** The burn that is nearest to its rate, for people. */
  worst(now: number): { readonly budget: ErrorBudget; readonly burn: Burn; readonly rate: number } {
    let worst = { budget: this.budgets[0], burn: this.budgets[0].burns[0], rate: 0 };
    let share = -1;
    for (const budget of this.budgets) {
      for (const burn of budget.burns) {
        const rate = Math.min(budget.rateOf(burn.long, now), budget.rateOf(burn.short, now));
        if (rate / burn.rate > share) {
          share = rate / burn.rate;
          worst = { budget, burn, rate };
        }
      }
    }
    return worst;
  }

  describe(now: number): ObjectiveStatus {
    return {
      name: this.name,
      level: LEVEL_NAMES[this.see(now)],
      shed: this.shed,
      budgets: this.budgets.map((budget) => ({
        kind: budget.kind,
        target: budget.target,
        calls: budget.whole(now).calls,
        bad: budget.whole(now).bad,
        left: budget.left(now),
        burnRates: Object.fromEntries(budget.windows(now)),
      })),
    };
  }
}

/** One promise's: how many calls there were, and how many were bad, over each window. */
class ErrorBudget {
  readonly kind: "availability" | "latency";
  /** 0..1: the share of calls that is promised to be good. */
  readonly target: number;
  readonly burns: readonly Burn[];
  readonly #whole: SlidingCount;
  readonly #counts: SlidingCount[] = [];
  readonly #names: string[] = [];

  constructor(kind: ErrorBudget["kind"], target: number, { window = "30d", burns = DEFAULT_BURNS }: ObjectiveSpec) {
    this.kind = kind;
    this.target = target;
    this.#whole = this.#count(window);
    this.burns = burns.map(({ rate, long, short, level }) => ({
      rate,
      long: this.#count(long),
      short: this.#count(short),
      level,
      name: long,
    }));
  }

  record(bad: boolean, now: number): void {
    for (const count of this.#counts) count.record(bad, now);
  }

  /** The share of the budget that is left: 1 when untouched, 0 when used up, negative beyond. */
  left(now: number): number {
    const { calls, bad } = this.whole(now);
    return calls === 0 ? 1 : 1 - bad / (calls * (1 - this.target));
  }

  /** How fast it burns: 1 uses the budget up in just its window. */
  rateOf(count: SlidingCount, now: number): number {
    count.advance(now);
    return count.calls === 0 ? 0 : count.bad / count.calls / (1 - this.target);
  }

  level(minCalls: number, now: number): BurnLevel {
    let level: BurnLevel = BurnLevel.quiet;
    if (this.whole(now).calls >= minCalls && this.left(now) <= 0) return BurnLevel.spent;
    for (const { rate, long, short, level: name } of this.burns) {
      if (this.rateOf(long, now) < rate || this.rateOf(short, now) < rate || long.calls < minCalls) continue;
      level = Math.max(level, name === "fast" ? BurnLevel.fast : BurnLevel.slow) as BurnLevel;
    }
    return level;
  }

  whole(now: number): SlidingCount {
    this.#whole.advance(now);
    return this.#whole;
  }

  /** Burn rates by window, as they are written: "1h". */
  *windows(now: number): Generator<readonly [string, number]> {
    for (let i = 1; i < this.#counts.length; i++) yield [this.#names[i], this.rateOf(this.#counts[i], now)];
  }

  /** One count for each window, whoever needs it. */
  #count(window: string): SlidingCount {
    const lengthMs = windowMs(window);
    let count = this.#counts.find((known, i) => known.windowMs === lengthMs && i > 0);
    if (count === undefined) {
      count = new SlidingCount(lengthMs);
      this.#counts.push(count);
      this.#names.push(window);
    }
    return count;
  }
}

export interface Burn {
  readonly rate: number;
  readonly long: SlidingCount;
  readonly short: SlidingCount;
  readonly level: BurnSpec["level"];
  /** The long window, as it is written. */
  readonly name: string;
}

/** An objective for dashboards. */
export interface ObjectiveStatus {
  readonly name: string;
  readonly level: (typeof LEVEL_NAMES)[number];
  readonly shed: number;
  readonly budgets: readonly {
    readonly kind: "availability" | "latency";
    readonly target: number;
    readonly calls: number;
    readonly bad: number;
    readonly left: number;
    readonly burnRates: Readonly<Record<string, number>>;
  }[];
}

const LOOK_MS = 1_000;
