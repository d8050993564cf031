/** Time as a parameter. Machines get `now` with each event; shells hold a Clock. */
export interface Clock {
  /** Monotonic milliseconds, fractional. Only differences mean something. */
  now(): number;
  /** Milliseconds since the Unix epoch. May jump; never used for durations. */
  wallMs(): number;
  /** Calls `fire` once, `delayMs` from now or later. The handle cancels it. A pending one does not keep the process alive. */
  after(delayMs: number, fire: () => void): Cancel;
}

export type Cancel = () => void;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, Math.min(delayMs, 0x7fff_ffff));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until it is told to move; for tests and simulation. Starts at 0, wall at `startWallMs`. */
export class VirtualClock implements Clock {
  #now = 0;
  readonly #startWallMs: number;
  #order = 0;
  readonly #pending: { at: number; order: number; fire: () => void }[] = [];

  constructor(startWallMs = 1_700_000_000_000) {
    this.#startWallMs = startWallMs;
  }

  now(): number {
    return this.#now;
  }

  wallMs(): number {
    return this.#startWallMs + Math.floor(this.#now);
  }

  after(delayMs: number, fire: () => void): Cancel {
    const entry = { at: this.#now + Math.max(0, delayMs), order: this.#order++, fire };
    this.#pending.push(entry);
    return () => {
      const index = this.#pending.indexOf(entry);
      if (index >= 0) this.#pending.splice(index, 1);
    };
  }

  /** Moves time on by `ms`, firing what falls due, in order of due time then of scheduling. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      let next = -1;
      for (let i = 0; i < this.#pending.length; i++) {
        const entry = this.#pending[i];
        const best = next < 0 ? undefined : this.#pending[next];
        if (entry.at <= until && (!best || entry.at < best.at || (entry.at === best.at && entry.order < best.order)))
          next = i;
      }
      if (next < 0) break;
      const [entry] = this.#pending.splice(next, 1);
      this.#now = Math.max(this.#now, entry.at);
      entry.fire();
    }
    this.#now = until;
  }
}
