/**
 * Counts of the last `windowMs`, in buckets, several kinds side by side. Adding and reading cost a few operations, no allocation.
 *
 *     buckets  | 3 . 1 | 0 . 0 | 7 . 2 | ...      one slot for each kind; the oldest is cleared as time goes on
 *                                  ^ current
 *
 * What is counted is forgotten between `windowMs - windowMs / buckets` and `windowMs` later.
 */
export class RollingWindow {
  readonly #bucketMs: number;
  readonly #buckets: number;
  readonly #kinds: number;
  readonly #counts: Int32Array;
  readonly #totals: Int32Array;
  /** Number of the current bucket since time 0. */
  #current = 0;

  constructor(windowMs: number, buckets: number, kinds: number) {
    this.#bucketMs = windowMs / buckets;
    this.#buckets = buckets;
    this.#kinds = kinds;
    this.#counts = new Int32Array(buckets * kinds);
    this.#totals = new Int32Array(kinds);
  }

  add(kind: number, now: number): void {
    this.#advance(now);
    this.#counts[(this.#current % this.#buckets) * this.#kinds + kind]++;
    this.#totals[kind]++;
  }

  total(kind: number, now: number): number {
    this.#advance(now);
    return this.#totals[kind];
  }

  /** How much time the counts stand for: between `windowMs - windowMs / buckets` and `windowMs`. */
  coveredMs(now: number): number {
    this.#advance(now);
    const inCurrent = Math.min(this.#bucketMs, Math.max(0, now - this.#current * this.#bucketMs));
    return (this.#buckets - 1) * this.#bucketMs + inCurrent;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#totals.fill(0);
  }

  #advance(now: number): void {
    const bucket = Math.floor(now / this.#bucketMs);
    if (bucket <= this.#current) return; // a reading slightly in the past counts as now
    const steps = bucket - this.#current;
    if (steps >= this.#buckets) this.clear();
    else
      for (let i = 1; i <= steps; i++) {
        const at = ((this.#current + i) % this.#buckets) * this.#kinds;
        for (let kind = 0; kind < this.#kinds; kind++) {
          this.#totals[kind] -= this.#counts[at + kind];
          this.#counts[at + kind] = 0;
        }
      }
    this.#current = bucket;
  }
}
