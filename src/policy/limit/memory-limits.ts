import { kept } from "../../core/kept.ts";
import type { RateCounter } from "./rate-counter.ts";
import { type SharedLimitAnswer, type SharedLimitRequest, type SharedLimits, sharedLimitId } from "./shared-limit.ts";
import { SlidingWindows } from "./sliding-window.ts";
import { TokenBuckets } from "./token-bucket.ts";

/** Shared limits within one process: for tests, and for whoever keeps the limits that others ask for. At most `maxLimits` settings are kept. */
export class MemoryLimits implements SharedLimits {
  readonly #now: () => number;
  readonly #maxLimits: number;
  /** By name and settings; each holds all keys. */
  readonly #counters = new Map<string, RateCounter>();

  constructor(now: () => number, maxLimits = 10_000) {
    this.#now = now;
    this.#maxLimits = maxLimits;
  }

  take(request: SharedLimitRequest, answer: (answer: SharedLimitAnswer | null) => void): void {
    const counter = this.#counterOf(request);
    const waitMs = counter.take(request.key, request.cost, 1, this.#now());
    answer({ allowed: waitMs === 0, waitMs, left: counter.left });
  }

  #counterOf(request: SharedLimitRequest): RateCounter {
    const id = sharedLimitId({ ...request, key: "" });
    const { algorithm, requests, perMs, burst } = request;
    return kept(this.#counters, id, this.#maxLimits, () =>
      algorithm === "sliding-window"
        ? new SlidingWindows(requests, perMs, MAX_KEYS)
        : new TokenBuckets(requests, perMs, burst, MAX_KEYS),
    );
  }
}

const MAX_KEYS = 100_000;
