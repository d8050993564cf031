import type { Random } from "../../core/random.ts";
import type { AdaptiveLimit, LimitEstimate } from "./adaptive-limit.ts";

/**
 * Gathers samples and tells an estimate their average once a window: the average latency, the most calls in flight, whether any was dropped. A window
 * ends after `windowMs` and at least 10 samples. After Netflix concurrency-limits' WindowedLimit (windows of 1 s, at least 10 samples); `windowMs` 0
 * passes every sample on.
 */
export class SampleWindow implements AdaptiveLimit {
  readonly estimate: LimitEstimate;
  readonly #windowMs: number;
  #endsAt = Number.NEGATIVE_INFINITY;
  #count = 0;
  #sumMs = 0;
  #most = 0;
  #dropped = false;

  constructor(estimate: LimitEstimate, windowMs: number) {
    this.estimate = estimate;
    this.#windowMs = windowMs;
  }

  limitAt(): number {
    return Math.floor(this.estimate.limit);
  }

  sample(rttMs: number, inFlight: number, dropped: boolean, random: Random, now: number): void {
    if (this.#windowMs === 0) return this.estimate.update(rttMs, inFlight, dropped, random);
    if (this.#count === 0) this.#endsAt = now + this.#windowMs;
    this.#count++;
    this.#sumMs += rttMs;
    if (inFlight > this.#most) this.#most = inFlight;
    if (dropped) this.#dropped = true;
    if (now < this.#endsAt || this.#count < MIN_SAMPLES) return;
    this.estimate.update(this.#sumMs / this.#count, this.#most, this.#dropped, random);
    this.#count = this.#sumMs = this.#most = 0;
    this.#dropped = false;
  }
}

const MIN_SAMPLES = 10;
