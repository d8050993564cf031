import { LOOK_AT, type RateCounter } from "./rate-counter.ts";

/**
 * Token buckets by key: in any time T at most `burst` + T x rate pass for one key. Kept as one number a key, the time at which its bucket
 * would be full again (the generic cell rate algorithm, GCRA, of ITU-T I.371: a token bucket told by its "theoretical arrival time"), so that nothing is
 * refilled by a timer.
 *
 *     passes when  max(fullAt, now) + cost <= now + depth        cost = ms for one token; depth = burst x cost
 *     else, with a longest wait:  reserved when what is missing is at most that; the call passes when it has waited so long
 *
 * With `burst` 1 and a longest wait it is the leaky bucket as a shaper: what passes is spaced evenly. A place that was reserved and not used is lost.
 *
 * At most `maxKeys` keys are kept: a full bucket is as good as none and gives way. While every bucket is in use, further keys share one, so that
 * inventing keys gains nothing. A cost larger than the bucket passes when the bucket is full, and empties it below nothing.
 */
export class TokenBuckets implements RateCounter {
  taken = false;
  left = 0;
  resetMs = 0;
  readonly #costMs: number;
  readonly #depthMs: number;
  readonly #maxKeys: number;
  readonly #maxWaitMs: number;
  readonly #fullAt = new Map<string, number>();
  #sharedFullAt = 0;

  constructor(requests: number, perMs: number, burst: number, maxKeys: number, maxWaitMs = 0) {
    this.#costMs = perMs / requests;
    this.#depthMs = burst * this.#costMs;
    this.#maxKeys = maxKeys;
    this.#maxWaitMs = maxWaitMs;
  }

  take(key: string, cost: number, share: number, now: number, patienceMs = Number.POSITIVE_INFINITY): number {
    const known = this.#fullAt.get(key);
    const shared = known === undefined && this.#fullAt.size >= this.#maxKeys && !this.#makeRoom(now);
    const tokenMs = this.#costMs * share;
    const depthMs = Math.max(this.#depthMs, tokenMs);
    const before = Math.max(now, known ?? (shared ? this.#sharedFullAt : now));
    const after = before + cost * tokenMs;
    // What costs more than a full bucket holds waits for a full one.
    const excess = Math.min(after - now - depthMs, before - now);
    const waitMs = excess > EPSILON_MS ? excess : 0;
    this.taken = waitMs <= this.#maxWaitMs && waitMs <= patienceMs;
    const fullAt = this.taken ? after : before;
    this.left = Math.max(0, Math.floor((depthMs - (fullAt - now)) / tokenMs + EPSILON_MS));
    this.resetMs = fullAt - now;
    if (this.taken) {
      if (shared) this.#sharedFullAt = fullAt;
      else this.#fullAt.set(key, fullAt);
    }
    return waitMs;
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
