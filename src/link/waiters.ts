import type { Clock } from "../core/clock.ts";
import type { WeftError } from "../core/errors.ts";

/** Those who wait for one thing to be done or to fail. */
export class Waiters {
  #waiting: ((error: WeftError | null) => void)[] = [];

  /** Resolves or rejects with the next settle(); rejects with `late()` after `timeoutMs`. */
  wait(clock: Clock, timeoutMs: number, late: () => WeftError): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: WeftError | null): void => {
        cancel();
        error === null ? resolve() : reject(error);
      };
      const cancel = clock.after(timeoutMs, () => {
        this.#waiting = this.#waiting.filter((other) => other !== done);
        reject(late());
      });
      this.#waiting.push(done);
    });
  }

  settle(error: WeftError | null): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done(error);
  }
}
