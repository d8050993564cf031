import type { Clock } from "../core/clock.ts";
import type { Code } from "../core/errors.ts";
import { Histogram } from "../telemetry/metrics.ts";

/**
 * What one server's calls came to since it started: how many, how many of them failed by the server's fault, and how long those with one request
 * and one answer took. Health checks and reflection are not counted: nobody's work is done by them.
 *
 * Every call is counted, but a reading of the clock costs a tenth of a small call: of many calls only one in `every` is timed, and weighs that
 * much. Start times of calls under way lie in one flat array, so that a call keeps a small integer and nothing is allocated for it.
 */
export class ServedCalls {
  calls = 0;
  errors = 0;
  readonly latency = new Histogram();
  /** Hears of each call that was timed. */
  onTimed: ((durationMs: number) => void) | null = null;
  readonly #clock: Clock;
  /** One call in so many is timed; 0 times none, which is how it begins: nobody may ever ask. */
  #every = 0;
  #untimed = 0;
  readonly #startedAt = new Float64Array(SLOTS);
  readonly #weight = new Float64Array(SLOTS);
  readonly #free = Uint16Array.from({ length: SLOTS }, (_, slot) => slot);
  #freeCount = SLOTS;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A call began; `timed`: its duration says something (that of a stream does not). Gives the number that `end` wants back. */
  begin(timed: boolean): number {
    this.calls++;
    if (!timed || this.#every === 0 || ++this.#untimed < this.#every) return NOT_TIMED;
    if (this.#freeCount === 0) return NOT_TIMED;
    const slot = this.#free[--this.#freeCount];
    this.#startedAt[slot] = this.#clock.now();
    this.#weight[slot] = this.#untimed;
    this.#untimed = 0;
    return slot;
  }

  /** Its end: `failure` is the error that it was answered with, null for none. */
  end(slot: number, failure: { readonly code: Code } | null): void {
    if (failure !== null && SERVER_FAULTS.has(failure.code)) this.errors++;
    if (slot === NOT_TIMED) return;
    const durationMs = this.#clock.now() - this.#startedAt[slot];
    this.latency.record(durationMs, this.#weight[slot]);
    this.onTimed?.(durationMs);
    this.#free[this.#freeCount++] = slot;
  }

  /** Times about TIMED_PER_SECOND calls from now on, should so many a second come as did lately. An even distance could meet the same stream of each burst. */
  expect(callsPerSecond: number): void {
    this.#every = Math.floor(callsPerSecond / TIMED_PER_SECOND) | 1;
  }
}

/** A call whose duration is not taken. */
export const NOT_TIMED = -1;
const TIMED_PER_SECOND = 500;
/** Calls that can be timed at once; of more in flight the rest are only counted. */
const SLOTS = 1_024;
const SERVER_FAULTS: ReadonlySet<Code> = new Set([
  "unknown",
  "deadline_exceeded",
  "internal",
  "unavailable",
  "data_loss",
]);
