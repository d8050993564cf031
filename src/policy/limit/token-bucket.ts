/**
 * Token buckets by key: in any time T at most `burst` + T x rate pass for one key. Kept as one number a key, the time at which its bucket
 * would be full again (GCRA, ITU-T I.371), so that nothing is refilled by a timer.
 *
 *     passes when  max(fullAt, now) + cost <= now + burst x cost        cost = ms for one token
 *
 * At most `maxKeys` keys are kept: a full bucket is as good as none and gives way. While every bucket is in use, further keys share one, so that
 * inventing keys gains nothing.
 */
export class TokenBuckets {
  readonly #costMs: number;
  readonly #depthMs: number;
  readonly #maxKeys: number;
  readonly #fullAt = new Map<string, number>();
  #sharedFullAt = 0;

  constructor(requests: number, perMs: number, burst: number, maxKeys: number) {
    this.#costMs = perMs / requests;
    this.#depthMs = burst * this.#costMs;
    this.#maxKeys = maxKeys;
  }

  /** Takes a token: 0, or the ms until there will be one. */
  take(key: string, now: number): number {
    const known = this.#fullAt.get(key);
    const shared = known === undefined && this.#fullAt.size >= this.#maxKeys && !this.#makeRoom(now);
    const fullAt = Math.max(now, known ?? (shared ? this.#sharedFullAt : now)) + this.#costMs;
    const excess = fullAt - now - this.#depthMs;
    if (excess > EPSILON_MS) return excess;
    if (shared) this.#sharedFullAt = fullAt;
    else this.#fullAt.set(key, fullAt);
    return 0;
  }

  /** Whole tokens left for a key. */
  left(key: string, now: number): number {
    const used = Math.max(0, (this.#fullAt.get(key) ?? now) - now);
    return Math.max(0, Math.floor((this.#depthMs - used) / this.#costMs + EPSILON_MS));
  }

  get keys(): number {
    return this.#fullAt.size;
  }

  /** Drops full buckets among the oldest; true when there is room. Keys that are looked at and kept move to the end. */
  #makeRoom(now: number): boolean {
    let looked = 0;
    for (const [key, fullAt] of this.#fullAt) {
      this.#fullAt.delete(key);
      if (fullAt <= now) return true;
      this.#fullAt.set(key, fullAt);
      if (++looked >= LOOK_AT) break;
    }
    return false;
  }
}

/** Sums of fractions of a millisecond do not come out even. */
const EPSILON_MS = 1e-6;
const LOOK_AT = 8;
