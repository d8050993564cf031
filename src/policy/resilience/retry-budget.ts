import { RollingWindow } from "./rolling-window.ts";

export interface RetryBudgetSettings {
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly ttlMs: number;
}

/**
 * Bounds how much load retries may add: in the last `ttlMs` never more than minPerSecond x ttl + ratio x calls retries.
 * Linkerd's and Finagle's retry budget (0.2, 10 a second, 10 s), counted in a rolling window instead of a leaky bucket.
 */
export class RetryBudget {
  readonly settings: RetryBudgetSettings;
  readonly #window: RollingWindow;
  readonly #reserve: number;
  /** Retries under way or waited for; those who make them count them in and out. */
  held = 0;

  constructor(settings: RetryBudgetSettings) {
    this.settings = settings;
    this.#window = new RollingWindow(settings.ttlMs, 10, 2);
    this.#reserve = (settings.minPerSecond * settings.ttlMs) / 1000;
  }

  /** A call's first attempt was made. */
  deposit(now: number): void {
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
    return Math.floor(this.#reserve + this.settings.ratio * this.#window.total(CALLS, now));
  }
}

const CALLS = 0;
const RETRIES = 1;
