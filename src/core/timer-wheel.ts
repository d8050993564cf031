import type { Cancel, Clock } from "./clock.ts";

/**
 * One coarse timer wheel for a process: many timers that nearly always get cancelled (a deadline for every call), at the
 * cost of a few stores each. One level of `SLOTS` slots of `tickMs`; what lies further ahead waits in its slot for more
 * turns. Timers never fire early and at most one tick late. Source: Varghese and Lauck, SOSP 1987, scheme 6.
 *
 *     slot   0    1    2   ...  SLOTS-1        cursor moves a slot a tick while anything is scheduled
 *            |         |
 *            t1<->t2   t3                       doubly linked through the timers themselves: O(1), no allocation
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #slots: (Timer | null)[] = new Array(SLOTS).fill(null);
  #cursor: number;
  #count = 0;
  #stop: Cancel | null = null;

  constructor(clock: Clock, tickMs = 8) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#cursor = Math.floor(clock.now() / tickMs);
  }

  /** Timers now scheduled. */
  get size(): number {
    return this.#count;
  }

  /** (Re)schedules `timer` to fire `delayMs` from `now` (the caller's reading of the same clock). */
  schedule(timer: Timer, delayMs: number, now = this.#clock.now()): void {
    if (timer.slot >= 0) this.cancel(timer);
    if (this.#count === 0) this.#cursor = Math.max(this.#cursor, Math.floor(now / this.#tickMs));
    const due = Math.max(this.#cursor + 1, Math.ceil((now + delayMs) / this.#tickMs));
    timer.due = due;
    const slot = due % SLOTS;
    const head = this.#slots[slot];
    timer.slot = slot;
    timer.next = head;
    timer.previous = null;
    if (head !== null) head.previous = timer;
    this.#slots[slot] = timer;
    this.#count++;
    if (this.#stop === null) this.#stop = this.#clock.after(this.#tickMs, this.#tick);
  }

  cancel(timer: Timer): void {
    if (timer.slot < 0) return;
    if (timer.previous === null) this.#slots[timer.slot] = timer.next;
    else timer.previous.next = timer.next;
    if (timer.next !== null) timer.next.previous = timer.previous;
    timer.slot = -1;
    timer.next = timer.previous = null;
    this.#count--;
  }

  readonly #tick = (): void => {
    this.#stop = null;
    const now = this.#clock.now();
    const target = Math.floor(now / this.#tickMs);
    // After a long pause one turn of the wheel reaches every slot; more would meet the same timers again.
    const first = Math.max(this.#cursor + 1, target - SLOTS + 1);
    this.#cursor = Math.max(this.#cursor, target);
    for (let at = first; at <= target; at++) {
      for (let timer = this.#slots[at % SLOTS]; timer !== null; ) {
        if (timer.due > target) {
          timer = timer.next;
          continue;
        }
        this.cancel(timer);
        timer.fire(now);
        timer = this.#slots[at % SLOTS]; // firing may have changed the list
      }
    }
    if (this.#count > 0 && this.#stop === null) this.#stop = this.#clock.after(this.#tickMs, this.#tick);
  };
}

const SLOTS = 1024;

/** Extend it, or give `fire`. Fields other than `fire` belong to the wheel. */
export abstract class Timer {
  next: Timer | null = null;
  previous: Timer | null = null;
  slot = -1;
  due = 0;

  abstract fire(now: number): void;
}
