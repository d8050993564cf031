import { durationMs } from "../resource/duration.ts";
import { HeavyHitters } from "./heavy-hitters.ts";
import type { RateCounter } from "./rate-counter.ts";
import type { HotKeySpec } from "./rate-limit-spec.ts";
import { TokenBuckets } from "./token-bucket.ts";

/**
 * The tighter limit of keys that make up too much of the calls. After Sentinel's hot-parameter rule, which limits each value that it still remembers; here
 * the values with more than a share of the calls are found (heavy-hitters.ts), and for certain: a key is never taken for hot by mistake.
 */
export class HotKeys {
  readonly share: number;
  readonly requests: number;
  readonly counter: RateCounter;
  readonly #seen: HeavyHitters;
  readonly #minCalls: number;

  constructor({ share, requests, burst, window, minCalls }: HotKeySpec, perMs: number) {
    this.share = share;
    this.requests = requests;
    // Every key above the share is kept when there are more places than 1 / share; twice as many keep the error small.
    const capacity = Math.min(MAX_TRACKED, Math.max(MIN_TRACKED, Math.ceil(2 / share)));
    this.#seen = new HeavyHitters(capacity, durationMs(window ?? "10s"));
    this.#minCalls = minCalls ?? 100;
    this.counter = new TokenBuckets(requests, perMs, burst ?? requests, capacity);
  }

  /** Counts a call of a key, and says what share of the calls is its own at least; 0 while too few were seen. */
  shareOf(key: string, cost: number, now: number): number {
    const certain = this.#seen.add(key, cost, now);
    const { total } = this.#seen;
    return total < this.#minCalls ? 0 : certain / total;
  }
}

const MIN_TRACKED = 64;
const MAX_TRACKED = 4_096;
