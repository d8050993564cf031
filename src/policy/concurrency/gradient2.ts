import type { LimitEstimate } from "./adaptive-limit.ts";
import type { ConcurrencySettings } from "./concurrency-field.ts";

/**
 * Follows the gradient between the latency of long and of now: while they are alike the limit grows by what may queue, when calls take longer it shrinks.
 * Netflix concurrency-limits' Gradient2Limit, with its formulas and defaults (20 to begin with and at least, 200 at most, smoothing 0.2, queue 4,
 * long-term average over 600 windows, tolerance 1.5):
 *
 *     gradient = max(0.5, min(1, tolerance x long / short))
 *     limit    = (1 - smoothing) x limit + smoothing x (limit x gradient + queue)
 *
 * Nothing changes while fewer than half of the limit are in flight. When the long-term latency is more than twice the present one, as after an overload,
 * it is brought down by a tenth at a time.
 */
export class Gradient2Limit implements LimitEstimate {
  limit: number;
  readonly #settings: ConcurrencySettings;
  readonly #factor: number;
  #longMs = 0;
  #samples = 0;

  constructor(settings: ConcurrencySettings) {
    this.#settings = settings;
    this.limit = settings.initial;
    this.#factor = 2 / (settings.longWindow + 1);
  }

  update(shortMs: number, inFlight: number): void {
    const { min, max, smoothing, queue, tolerance } = this.#settings;
    this.#remember(shortMs);
    const longMs = this.#longMs;
    if (longMs / shortMs > 2) this.#longMs *= 0.9;
    if (inFlight < this.limit / 2) return;
    const gradient = Math.max(0.5, Math.min(1, (tolerance * longMs) / shortMs));
    const next = this.limit * (1 - smoothing) + (this.limit * gradient + queue) * smoothing;
    this.limit = Math.max(min, Math.min(max, next));
  }

  /** An exponential average that begins as a plain one. */
  #remember(ms: number): void {
    if (this.#samples < WARM_UP) {
      this.#longMs = (this.#longMs * this.#samples + ms) / (this.#samples + 1);
      this.#samples++;
    } else this.#longMs += (ms - this.#longMs) * this.#factor;
  }
}

const WARM_UP = 10;
