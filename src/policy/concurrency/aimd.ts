import type { LimitEstimate } from "./adaptive-limit.ts";
import type { ConcurrencySettings } from "./concurrency-field.ts";

/**
 * One more while calls succeed and use at least half of the limit; a tenth fewer when one is dropped or takes too long. Netflix concurrency-limits'
 * AIMDLimit, with its defaults (10 to begin with, at least 1, back-off 0.9, 5 s); at most 200, as its other limits.
 */
export class AimdLimit implements LimitEstimate {
  limit: number;
  readonly #settings: ConcurrencySettings;

  constructor(settings: ConcurrencySettings) {
    this.#settings = settings;
    this.limit = settings.initial;
  }

  update(rttMs: number, inFlight: number, dropped: boolean): void {
    const { min, max, backoff, timeoutMs } = this.#settings;
    if (dropped || rttMs > timeoutMs) {
      this.limit = Math.max(min, Math.min(this.limit - 1, Math.floor(this.limit * backoff)));
    } else if (inFlight * 2 >= this.limit) this.limit = Math.min(max, this.limit + 1);
  }
}
