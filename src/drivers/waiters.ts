import type { Clock } from "../core/clock.ts";

/** Those who wait until there is a connection again. */
export class Waiters {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Until wake(); false: not before the deadline (the clock's, ms). */
  until(deadline: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (woken: boolean): void => {
        cancel();
        this.#waiting.delete(wake);
        resolve(woken);
      };
      const wake = (): void => done(true);
      const cancel = this.#clock.after(Math.max(0, deadline - this.#clock.now()), () => done(false));
      this.#waiting.add(wake);
    });
  }

  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
