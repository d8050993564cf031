/**
 * Counts what passes for each key and says when it must wait: token-bucket.ts, sliding-window.ts. Pure: time comes in as `now`, and nothing is
 * allocated for a key that is known.
 */
export interface RateCounter {
  /**
   * Takes `cost` (1 or more) for a key. 0: it may pass now. Otherwise the ms until it could; `taken` says whether its place is reserved, so that it passes
   * by itself after that time (only counters that were given a longest wait).
   *
   * @param share by how many processes the limit is shared out: each lets pass its part, and never less than one request
   * @param patienceMs how long the call itself could wait
   */
  take(key: string, cost: number, share: number, now: number, patienceMs?: number): number;
  // about the last take:
  readonly taken: boolean;
  /** Whole requests that may still pass at once for that key. */
  readonly left: number;
  /** Ms until that key is as new. */
  readonly resetMs: number;
  /** Keys that are kept now. */
  readonly keys: number;
}

/** Keys that are looked at for one that can go, when there is no room for another. */
export const LOOK_AT = 8;
