import type { Clock } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { within } from "../core/within.ts";

export interface AskAgainOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly timeoutMs: number;
  /** What nobody waits for any more: what it answers true to is not asked again. */
  readonly stopped: () => boolean;
}

/**
 * Asks a place that may be away until it answers, for at most `timeoutMs`: what is asked must be safe to be done twice. Rejects with what the place said last where that was
 * `unavailable`, and with what it refuses at once. Work of several steps takes no further one when it is `givenUp`: who asked was told so, and may have asked for something else since.
 */
export async function askAgain<T>(work: (givenUp: () => boolean) => Promise<T>, options: AskAgainOptions): Promise<T> {
  const { clock, random, timeoutMs, stopped } = options;
  const deadline = clock.now() + timeoutMs;
  const givenUp = (): boolean => clock.now() >= deadline;
  let said: WeftError | null = null;
  for (;;) {
    try {
      return await within(clock, deadline, work(givenUp), late);
    } catch (thrown) {
      const error = toWeftError(thrown);
      // What the deadline cut short knows less than what was said before it.
      if (said === null || error.reason !== SLOW) said = error;
      const pause = 50 + 100 * random.next();
      if (!isAway(error) || stopped() || clock.now() + pause >= deadline) throw said;
      await new Promise<void>((resolve) => void clock.after(pause, resolve));
    }
  }
}

/** Whether the place does not answer, rather than refuses. */
export function isAway({ code }: WeftError): boolean {
  return code === "unavailable" || code === "deadline_exceeded" || code === "cancelled";
}

function late(): WeftError {
  return new WeftError("deadline_exceeded", "it did not answer in time", { reason: SLOW });
}

const SLOW = "BACKEND_SLOW";
