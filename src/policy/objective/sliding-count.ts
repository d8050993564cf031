/**
 * Calls, and the bad ones among them, in a window that slides by a sixtieth of its length: a ring of buckets and their sums. So what is older than the
 * window by less than a bucket may still count.
 *
 *     W1  The sums are those of the buckets; the newest bucket is the present one, and none is older than the window.
 */
export class SlidingCount {
  readonly windowMs: number;
  calls = 0;
  bad = 0;
  readonly #bucketMs: number;
  readonly #calls = new Float64Array(BUCKETS);
  readonly #bad = new Float64Array(BUCKETS);
  /** Number of the present bucket since the clock's beginning. */
  #at = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
    this.#bucketMs = windowMs / BUCKETS;
  }

  record(bad: boolean, now: number): void {
    this.advance(now);
    const i = this.#at % BUCKETS;
    this.#calls[i]++;
    this.calls++;
    if (!bad) return;
    this.#bad[i]++;
    this.bad++;
  }

  /** Forgets what is older than the window. */
  advance(now: number): void {
    const at = Math.floor(now / this.#bucketMs);
    if (at <= this.#at) return;
    for (let next = Math.max(this.#at + 1, at - BUCKETS + 1); next <= at; next++) {
      const i = next % BUCKETS;
      this.calls -= this.#calls[i];
      this.bad -= this.#bad[i];
      this.#calls[i] = this.#bad[i] = 0;
    }
    this.#at = at;
  }
}

const BUCKETS = 60;
