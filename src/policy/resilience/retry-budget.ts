import { RollingWindow } from "./rolling-window.ts";

export interface RetryBudgetSettings {
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly ttlMs: number;
}

/**
 * Bounds how much load retries may add: in the last `ttlMs` never more than minPerSecond x ttl + ratio x calls retries.
 * Linkerd's and Finagle's retry budget (0.2, 10 a second, 10 s), counted in a rolling window instead of a leaky bucket. The
 * reserve is for the time that the window stands for (9 to 10 s), and at the start for a second and the time since: so over any time from the start it is
 * minPerSecond and no more, however it is used.
 */
export class RetryBudget {
  readonly settings: RetryBudgetSettings;
  readonly #window: RollingWindow;
  /** -1 before it is first used. */
  #madeAt = -1;
  /** Retries under way or waited for; those who make them count them in and out. */
  held = 0;

  constructor(settings: RetryBudgetSettings) {
    this.settings = settings;
    this.#window = new RollingWindow(settings.ttlMs, 10, 2);
  }

  /** A call's first attempt was made. */
  deposit(now: number): void {
    if (this.#madeAt < 0) this.#madeAt = now;
    this.#window.add(CALLS, now);
  }

  /** Takes one retry out of it; false when there is none left. */
  withdraw(now: number): boolean {
    if (this.left(now) < 1) return false;
    this.#window.add(RETRIES, now);
    return true;
  }

  /** Whole retries that may be made now. */
  left(now: number): number {
    return Math.max(0, this.size(now) - this.#window.total(RETRIES, now));
  }

  /** Whole retries that the window allows altogether. */
  size(now: number): number {
    const { ratio, minPerSecond } = this.settings;
    if (this.#madeAt < 0) this.#madeAt = now;
    const reserve = (minPerSecond * Math.min(this.#window.coveredMs(now), HEAD_START_MS + now - this.#madeAt)) / 1000;
    return Math.floor(reserve + ratio * this.#window.total(CALLS, now));
  }
}

/** Calls of a process that has just begun may be retried, too. */
const HEAD_START_MS = 1_000;
const CALLS = 0;
const RETRIES = 1;
