import type { Random } from "../../core/random.ts";
import type { LimitEstimate } from "./adaptive-limit.ts";
import type { ConcurrencySettings } from "./concurrency-field.ts";

/**
 * Estimates the queue from the latency without load, as TCP Vegas does, and keeps it between two bounds. Netflix concurrency-limits' VegasLimit, with its
 * formulas and defaults (20 to begin with, 1 to 1,000, smoothing 1, probe multiplier 30):
 *
 *     queue = limit x (1 - least latency / latency)         unit = max(1, floor(log10 limit))
 *
 *     dropped            limit - unit           queue <= unit        limit + 6 units
 *     queue > 6 units    limit - unit           queue < 3 units      limit + unit
 *
 * The least latency is measured anew after about 30 x limit samples, with jitter, so that what slowed down for good is not taken for a queue for ever.
 */
export class VegasLimit implements LimitEstimate {
  limit: number;
  readonly #settings: ConcurrencySettings;
  #leastMs = 0;
  #sinceProbe = 0;
  #jitter = 1;

  constructor(settings: ConcurrencySettings) {
    this.#settings = settings;
    this.limit = settings.initial;
  }

  update(rttMs: number, inFlight: number, dropped: boolean, random: Random): void {
    const { min, max, smoothing, probeMultiplier } = this.#settings;
    if (++this.#sinceProbe >= this.#jitter * probeMultiplier * this.limit) {
      this.#jitter = 0.5 + random.next() / 2;
      this.#sinceProbe = 0;
      this.#leastMs = rttMs;
      return;
    }
    if (this.#leastMs === 0 || rttMs < this.#leastMs) {
      this.#leastMs = rttMs;
      return;
    }
    const next = this.#next(rttMs, inFlight, dropped);
    this.limit = Math.max(min, Math.min(max, (1 - smoothing) * this.limit + smoothing * next));
  }

  #next(rttMs: number, inFlight: number, dropped: boolean): number {
    const { limit } = this;
    const unit = Math.max(1, Math.floor(Math.log10(limit)));
    if (dropped) return limit - unit;
    if (inFlight * 2 < limit) return limit;
    const queue = Math.ceil(limit * (1 - this.#leastMs / rttMs));
    if (queue <= unit) return limit + 6 * unit;
    if (queue < 3 * unit) return limit + unit;
    return queue > 6 * unit ? limit - unit : limit;
  }
}
