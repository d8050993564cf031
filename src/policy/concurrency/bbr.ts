import type { LoadState } from "../admission/load-state.ts";
import type { AdaptiveLimit } from "./adaptive-limit.ts";
import type { ConcurrencySettings } from "./concurrency-field.ts";

/**
 * Refuses only while the process is busy, and then what is in flight beyond what it has proved to be able to carry: the most calls that it completed in
 * a bucket of the window, times the least average latency of one (Little's law). After TCP BBR; Sentinel's system-adaptive rule and Kratos' aegis bbr, with
 * the latter's defaults: busy from 80 % on, a window of 10 s in 100 buckets, load smoothed by 0.95, and a second of grace (but each 100 ms where Kratos does
 * it each 500 ms, with which a process would be at its limit for 16 s before it counts as busy; here 3 s):
 *
 *     limit = most completed in a bucket x least average latency / length of a bucket
 *
 *     free --busy and more in flight than limit--> refusing --not busy, and 1 s since it began--> free
 *
 * Busy is whichever is greater: the CPU, or the event loop, since JavaScript has one thread whatever cores there are. The bucket that is being filled does
 * not count.
 */
export class BbrLimit implements AdaptiveLimit {
  readonly #load: LoadState;
  readonly #threshold: number;
  readonly #bucketMs: number;
  readonly #completed = new Float64Array(BUCKETS);
  readonly #sumMs = new Float64Array(BUCKETS);
  /** Number of the bucket being filled since time 0. */
  #current = Number.NEGATIVE_INFINITY;
  /** Of the buckets before; made anew when the current one changes. */
  #proved = 1;
  #stale = true;
  #busy = 0;
  #readings: number;
  #refusingSince = Number.NEGATIVE_INFINITY;

  constructor({ threshold, windowMs }: ConcurrencySettings, load: LoadState) {
    this.#load = load;
    this.#threshold = threshold;
    this.#bucketMs = windowMs / BUCKETS;
    this.#readings = load.readings;
  }

  limitAt(inFlight: number, now: number): number {
    this.#smooth();
    const refusing = this.#refusingSince !== Number.NEGATIVE_INFINITY;
    if (this.#busy < this.#threshold) {
      if (!refusing) return Number.POSITIVE_INFINITY;
      if (now - this.#refusingSince > GRACE_MS) {
        this.#refusingSince = Number.NEGATIVE_INFINITY;
        return Number.POSITIVE_INFINITY;
      }
    }
    // One more than is in flight may come as long as no more than the proved ones are.
    const limit = Math.max(1, this.#provedAt(now)) + 1;
    if (!refusing && inFlight >= limit) this.#refusingSince = now;
    return limit;
  }

  sample(rttMs: number, _inFlight: number, _dropped: boolean, _random: unknown, now: number): void {
    this.#advance(now);
    const slot = this.#current % BUCKETS;
    this.#completed[slot]++;
    this.#sumMs[slot] += rttMs;
  }

  #smooth(): void {
    const { readings, cpu, eventLoopUtilisation } = this.#load;
    if (readings === this.#readings) return;
    // Readings that nobody asked for were, as far as is known, like this one.
    const keep = DECAY ** Math.min(1_000, readings - this.#readings);
    this.#readings = readings;
    this.#busy = this.#busy * keep + Math.max(cpu, eventLoopUtilisation) * (1 - keep);
  }

  #provedAt(now: number): number {
    this.#advance(now);
    if (!this.#stale) return this.#proved;
    this.#stale = false;
    let most = 1;
    let leastMs = Number.POSITIVE_INFINITY;
    for (let i = 1; i < BUCKETS; i++) {
      const slot = (this.#current - i) % BUCKETS;
      const completed = this.#completed[slot < 0 ? slot + BUCKETS : slot];
      if (completed === 0) continue;
      if (completed > most) most = completed;
      leastMs = Math.min(leastMs, this.#sumMs[slot < 0 ? slot + BUCKETS : slot] / completed);
    }
    // Nothing is known: nothing is refused on that ground.
    this.#proved =
      leastMs === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : Math.round((most * leastMs) / this.#bucketMs);
    return this.#proved;
  }

  #advance(now: number): void {
    const bucket = Math.floor(now / this.#bucketMs);
    if (bucket <= this.#current) return;
    const steps = Math.min(BUCKETS, bucket - this.#current);
    for (let i = 0; i < steps; i++) {
      const slot = (bucket - i) % BUCKETS;
      this.#completed[slot] = this.#sumMs[slot] = 0;
    }
    this.#current = bucket;
    this.#stale = true;
  }
}

const BUCKETS = 100;
const GRACE_MS = 1_000;
/** For each reading of 100 ms. */
const DECAY = 0.95;
