import type { Cancel, Clock } from "../core/clock.ts";
import type { Ledger } from "./ledger.ts";

/**
 * Who knows a newer revision of this ledger than is current here waits until the store has been asked after that:
 *
 *     waiting --asked, and answered--> told: what is current counts, even if it is older, for the store was set back then
 *        '------the store is away--> asked again after a second
 */
export class CatchUp {
  readonly #ledger: Pick<Ledger, "confirm">;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #asking = false;
  #cancel: Cancel = () => {};

  constructor(ledger: Pick<Ledger, "confirm">, clock: Clock) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** Calls `done`, later, unless that is called off by what is returned. */
  wait(done: () => void): Cancel {
    const own = (): void => done();
    this.#waiting.add(own);
    if (!this.#asking) void this.#ask();
    return () => void this.#waiting.delete(own);
  }

  close(): void {
    this.#waiting.clear();
    this.#cancel();
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    let reached = true;
    while (this.#waiting.size > 0 && reached) {
      // Whoever comes while the store is asked does not know whether the answer is older than what it knows.
      const before = [...this.#waiting];
      reached = await this.#ledger.confirm().then(
        () => true,
        () => false,
      );
      if (!reached) break;
      for (const done of before) if (this.#waiting.delete(done)) done();
    }
    if (reached) this.#asking = false;
    else this.#cancel = this.#clock.after(AGAIN_MS, () => void this.#ask());
  }
}

const AGAIN_MS = 1_000;
