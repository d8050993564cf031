import { durationMs } from "../resource/duration.ts";
import type { RateLimit } from "../resource/resources.ts";
import { ConcurrencyLimiter } from "./concurrency-limiter.ts";
import { HotKeys } from "./hot-keys.ts";
import { compileKey, type KeyReader, keyOfValues } from "./limit-key.ts";
import type { RateCounter } from "./rate-counter.ts";
import type { RateLimitAlgorithm } from "./rate-limit-spec.ts";
import { SlidingWindows } from "./sliding-window.ts";
import { TokenBuckets } from "./token-bucket.ts";

/** A RateLimit with what it has counted. Shared by all gates that enforce it in this process. */
export class LimiterState {
  readonly name: string;
  readonly algorithm: RateLimitAlgorithm;
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
  readonly maxWaitMs: number;
  /** Asks the shared limiter first. */
  readonly shared: boolean;
  /** Notes what it would refuse, and refuses nothing. */
  readonly shadow: boolean;
  readonly headers: "none" | "fields" | "legacy";
  readonly keyOf: KeyReader;
  readonly counter: RateCounter;
  /** Null: it limits a rate. */
  readonly inFlight: ConcurrencyLimiter | null;
  readonly hot: HotKeys | null;
  /** Limits of single keys. */
  readonly exceptions: ReadonlyMap<string, LimitException> | null;
  readonly counts = new LimitCounts();

  constructor({ metadata, spec }: RateLimit) {
    const { algorithm = "token-bucket", exceptions = [], maxKeys = 10_000 } = spec;
    this.name = metadata.name;
    this.algorithm = algorithm;
    this.requests = spec.requests;
    this.perMs = durationMs(spec.per ?? "1s");
    this.burst = spec.burst ?? (algorithm === "gcra" ? 1 : spec.requests);
    this.maxWaitMs = spec.maxWait === undefined ? 0 : durationMs(spec.maxWait);
    this.shared = spec.scope === "system";
    this.shadow = spec.mode === "shadow";
    this.headers = spec.headers === "legacy" ? "legacy" : spec.headers === true ? "fields" : "none";
    this.keyOf = compileKey(spec.key);
    this.inFlight =
      algorithm === "concurrency" ? new ConcurrencyLimiter(spec.requests, spec.maxQueue ?? 0, maxKeys) : null;
    this.counter = this.#counter(spec.requests, this.burst, this.inFlight === null ? maxKeys : 1);
    this.hot = spec.hot === undefined ? null : new HotKeys(spec.hot, this.perMs);
    this.exceptions =
      exceptions.length === 0
        ? null
        : new Map(
            exceptions.map(({ value, requests, burst }) => {
              const depth = burst ?? (algorithm === "gcra" ? 1 : requests);
              const counter = this.#counter(requests, depth, 1);
              return [keyOfValues(spec.key, value), { requests, burst: depth, counter }];
            }),
          );
  }

  #counter(requests: number, burst: number, maxKeys: number): RateCounter {
    if (this.algorithm === "sliding-window") return new SlidingWindows(requests, this.perMs, maxKeys);
    return new TokenBuckets(requests, this.perMs, burst, maxKeys, this.shadow ? 0 : this.maxWaitMs);
  }
}

export interface LimitException {
  readonly requests: number;
  readonly burst: number;
  readonly counter: RateCounter;
}

/** How often a limit decided which way, since the process started. */
export class LimitCounts {
  passed = 0;
  /** Of the passed: those that had to wait. */
  waited = 0;
  denied = 0;
  /** Let pass, though the limit in shadow mode would have refused them. */
  shadow = 0;
  /** Decided by the process's own share, since the shared limiter did not answer. */
  alone = 0;
}
