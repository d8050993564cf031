import { RollingWindow } from "./rolling-window.ts";

export interface RetryBudgetSettings {
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly ttlMs: number;
}

/**
 * Bounds how much load retries may add: in any `ttlMs` never more than minPerSecond x ttl + ratio x calls retries.
 * Linkerd's and Finagle's retry budget (0.2, 10 a second, 10 s), counted in rolling windows instead of a leaky bucket. What is coarse about them is taken
 * to its disadvantage: retries are remembered for a little more than the time, calls and the reserve for a little less. At the start the reserve is a second's,
 * and grows.
 */
export class RetryBudget {
  readonly settings: RetryBudgetSettings;
  readonly #calls: RollingWindow;
  readonly #retries: RollingWindow;
  /** -1 before it is first used. */
  #madeAt = -1;
  /** Retries under way or waited for; those who make them count them in and out. */
  held = 0;

  constructor(settings: RetryBudgetSettings) {
    this.settings = settings;
    const { ttlMs } = settings;
    this.#calls = new RollingWindow(ttlMs, BUCKETS, 1);
    this.#retries = new RollingWindow((ttlMs / BUCKETS) * (BUCKETS + 1), BUCKETS + 1, 1);
  }

  /** A call's first attempt was made. */
  deposit(now: number): void {
    if (this.#madeAt < 0) this.#madeAt = now;
    this.#calls.add(0, now);
  }

  /** Takes one retry out of it; false when there is none left. */
  withdraw(now: number): boolean {
    if (this.left(now) < 1) return false;
    this.#retries.add(0, now);
    return true;
  }

  /** Whole retries that may be made now. */
  left(now: number): number {
    return Math.max(0, this.size(now) - this.#retries.total(0, now));
  }

  /** Whole retries that the window allows altogether. */
  size(now: number): number {
    const { ratio, minPerSecond } = this.settings;
    if (this.#madeAt < 0) this.#madeAt = now;
    const reserve = (minPerSecond * Math.min(this.#calls.coveredMs(now), HEAD_START_MS + now - this.#madeAt)) / 1000;
    return Math.floor(reserve + ratio * this.#calls.total(0, now));
  }
}

/** Calls of a process that has just begun may be retried, too. */
const HEAD_START_MS = 1_000;
const BUCKETS = 40;
