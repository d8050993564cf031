import type { Random } from "../core/random.ts";

export interface BackOffOptions {
  /** Longest first pause, ms. Default 100. */
  baseMs?: number;
  /** Longest pause, ms. Default 5,000. */
  maxMs?: number;
  /** Attempts before the ceiling doubles: as many as there are places to try. Default 1. */
  round?: number;
}

/**
 * Pauses between attempts: random up to a ceiling that doubles, so that a thousand processes whose control plane restarts do not come back together.
 * Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), full jitter; a tenth of the ceiling is the least.
 */
export class BackOff {
  readonly #random: Random;
  readonly #baseMs: number;
  readonly #round: number;
  #maxMs: number;
  #failures = 0;

  constructor(random: Random, { baseMs = 100, maxMs = 5_000, round = 1 }: BackOffOptions = {}) {
    this.#random = random;
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#round = round;
  }

  /** Makes the longest pause no longer than this: who pauses longer than its leases last loses them. */
  limit(maxMs: number): void {
    this.#maxMs = Math.min(this.#maxMs, maxMs);
  }

  /** After a success. */
  reset(): void {
    this.#failures = 0;
  }

  /** Pause before the next attempt, ms. */
  next(): number {
    const rounds = Math.floor(this.#failures++ / this.#round);
    const ceiling = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(rounds, 30));
    return ceiling * (0.1 + 0.9 * this.#random.next());
  }
}
