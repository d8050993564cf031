import { LOOK_AT, type RateCounter } from "./rate-counter.ts";

/**
 * A sliding window by key: in any `perMs` at most `requests` pass for one key, exactly so, whatever the window begins with.
 *
 *     requests <= 64   a log: the times of the last passes in a ring; exact
 *     more             33 buckets of a 32nd of the window each. The oldest, of which only a part still lies in the window, is counted whole:
 *
 *         |  oldest  |  ...  |  newest  |        passes when all 33 together hold less than `requests`
 *              ^ now - perMs      ^ now
 *
 * So nothing passes that the exact log would refuse; what it would let pass may be refused up to perMs / 32 longer (the common estimate from two windows,
 * weighted by how far the newer has come, lets up to twice the limit pass in one window, which is why it is not used here).
 *
 * At most `maxKeys` keys are kept; those without a pass in the window give way. While none can, further keys share one.
 */
export class SlidingWindows implements RateCounter {
  readonly taken: boolean = false;
  left = 0;
  resetMs = 0;
  readonly #requests: number;
  readonly #perMs: number;
  readonly #maxKeys: number;
  readonly #windows = new Map<string, Window>();
  #shared: Window | null = null;

  constructor(requests: number, perMs: number, maxKeys: number) {
    this.#requests = requests;
    this.#perMs = perMs;
    this.#maxKeys = maxKeys;
  }

  take(key: string, cost: number, share: number, now: number): number {
    let window = this.#windows.get(key);
    if (window === undefined) {
      if (this.#windows.size >= this.#maxKeys && !this.#makeRoom(now)) window = this.#shared ??= this.#make();
      else this.#windows.set(key, (window = this.#make()));
    }
    const limit = share === 1 ? this.#requests : Math.max(1, Math.floor(this.#requests / share));
    const waitMs = window.take(Math.min(cost, limit), limit, now);
    this.left = window.left;
    this.resetMs = window.resetMs(now);
    return waitMs;
  }

  /** What may pass at once for a key that is kept. */
  leftOf(key: string, now: number): number {
    return this.#requests - (this.#windows.get(key)?.counted(now) ?? 0);
  }

  get keys(): number {
    return this.#windows.size;
  }

  #make(): Window {
    return this.#requests <= LOG_UP_TO ? new WindowLog(this.#requests, this.#perMs) : new WindowCounts(this.#perMs);
  }

  #makeRoom(now: number): boolean {
    let looked = 0;
    for (const [key, window] of this.#windows) {
      this.#windows.delete(key);
      if (window.resetMs(now) <= 0) return true;
      this.#windows.set(key, window);
      if (++looked >= LOOK_AT) break;
    }
    return false;
  }
}

interface Window {
  left: number;
  take(cost: number, limit: number, now: number): number;
  resetMs(now: number): number;
  /** In the window that ends now. */
  counted(now: number): number;
}

/** Times of the last passes, oldest first from `#head`. A time in the past of the newest counts as the newest. */
class WindowLog implements Window {
  left = 0;
  readonly #times: Float64Array;
  readonly #perMs: number;
  #head = 0;
  #count = 0;

  constructor(requests: number, perMs: number) {
    this.#times = new Float64Array(requests);
    this.#perMs = perMs;
  }

  take(cost: number, limit: number, now: number): number {
    const times = this.#times;
    const size = times.length;
    if (this.#count > 0) now = Math.max(now, times[(this.#head + this.#count - 1) % size]);
    this.counted(now);
    const over = this.#count + cost - limit;
    if (over > 0) {
      this.left = Math.max(0, limit - this.#count);
      return Math.max(times[(this.#head + Math.min(over, this.#count) - 1) % size] + this.#perMs - now, MIN_WAIT_MS);
    }
    for (let i = 0; i < cost; i++) times[(this.#head + this.#count++) % size] = now;
    this.left = limit - this.#count;
    return 0;
  }

  counted(now: number): number {
    const times = this.#times;
    while (this.#count > 0 && times[this.#head] <= now - this.#perMs) {
      this.#head = (this.#head + 1) % times.length;
      this.#count--;
    }
    return this.#count;
  }

  resetMs(now: number): number {
    if (this.#count === 0) return 0;
    return Math.max(0, this.#times[(this.#head + this.#count - 1) % this.#times.length] + this.#perMs - now);
  }
}

class WindowCounts implements Window {
  left = 0;
  readonly #bucketMs: number;
  readonly #counts = new Float64Array(BUCKETS + 1);
  #total = 0;
  /** Number of the newest bucket since time 0. */
  #newest = Number.NEGATIVE_INFINITY;

  constructor(perMs: number) {
    this.#bucketMs = perMs / BUCKETS;
  }

  take(cost: number, limit: number, now: number): number {
    this.#advance(now);
    if (this.#total + cost > limit) {
      this.left = Math.max(0, limit - this.#total);
      return this.#waitMs(this.#total + cost - limit, now);
    }
    this.#counts[this.#slot(this.#newest)] += cost;
    this.#total += cost;
    this.left = limit - this.#total;
    return 0;
  }

  resetMs(now: number): number {
    this.#advance(now);
    if (this.#total === 0) return 0;
    let bucket = this.#newest;
    while (this.#counts[this.#slot(bucket)] === 0) bucket--;
    return this.#goneAt(bucket) - now;
  }

  counted(now: number): number {
    this.#advance(now);
    return this.#total;
  }

  /** Until so many of the oldest are no longer counted. */
  #waitMs(over: number, now: number): number {
    for (let bucket = this.#newest - BUCKETS; bucket <= this.#newest; bucket++) {
      over -= this.#counts[this.#slot(bucket)];
      if (over <= 0) return Math.max(this.#goneAt(bucket) - now, MIN_WAIT_MS);
    }
    return Math.max(this.#goneAt(this.#newest) - now, MIN_WAIT_MS);
  }

  #goneAt(bucket: number): number {
    return (bucket + BUCKETS + 1) * this.#bucketMs;
  }

  #slot(bucket: number): number {
    const slot = bucket % (BUCKETS + 1);
    return slot < 0 ? slot + BUCKETS + 1 : slot;
  }

  #advance(now: number): void {
    const bucket = Math.floor(now / this.#bucketMs);
    const steps = bucket - this.#newest;
    if (steps <= 0) return;
    if (steps > BUCKETS) {
      this.#counts.fill(0);
      this.#total = 0;
    } else {
      for (let i = 1; i <= steps; i++) {
        const slot = this.#slot(this.#newest + i);
        this.#total -= this.#counts[slot];
        this.#counts[slot] = 0;
      }
    }
    this.#newest = bucket;
  }
}

const LOG_UP_TO = 64;
const BUCKETS = 32;
/** Waits that are told are never nothing: a fraction could be lost in the sum. */
const MIN_WAIT_MS = 1e-3;
