/** A time-out of a machine that learns the time only from tick(now): started at an event, it runs from the next tick on. */
export class Countdown {
  #since = OFF;

  /** (Re)starts it. */
  start(): void {
    this.#since = PENDING;
  }

  stop(): void {
    this.#since = OFF;
  }

  get running(): boolean {
    return this.#since !== OFF;
  }

  /** Whether it has run for `ms`. */
  over(now: number, ms: number): boolean {
    if (this.#since === OFF) return false;
    if (this.#since === PENDING) this.#since = now;
    return now - this.#since >= ms;
  }
}

const OFF = -1;
const PENDING = -2;
