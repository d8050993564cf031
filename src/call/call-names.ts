import type { Clock } from "../core/clock.ts";
import type { IdSource } from "../telemetry/trace.ts";

/**
 * Request ids for calls that nobody else names: those that a process makes of its own accord. At most 1,000 a second get one (256 at once), as many as the journals of
 * decisions keep of calls that went well: a field that differs from call to call costs both sides about 0.4 us, which is nothing at that rate, and up to 8 %
 * of a unary call at a hundred times of it.
 */
export class CallNames {
  readonly #ids: IdSource;
  readonly #clock: Clock;
  #left = BURST;
  #calls = 0;
  #readAt: number;

  constructor(ids: IdSource, clock: Clock) {
    this.#ids = ids;
    this.#clock = clock;
    this.#readAt = clock.now();
  }

  /** "" for a call that goes without. */
  next(): string {
    // The clock is read with one call in so many: it would cost more than all the rest.
    if (++this.#calls === READ_EVERY) {
      this.#calls = 0;
      const now = this.#clock.now();
      this.#left = Math.min(BURST, this.#left + (now - this.#readAt) * PER_MS);
      this.#readAt = now;
    }
    if (this.#left < 1) return "";
    this.#left--;
    return this.#ids.next();
  }
}

const PER_MS = 1;
const BURST = 256;
/** Below BURST / PER_MS, so that slower callers never run out. */
const READ_EVERY = 64;
