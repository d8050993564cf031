import { Timer } from "../core/timer-wheel.ts";

/** Hears of a timer that the call machine started. */
export interface TimerOwner {
  onTimer(id: number, now: number): void;
}

/** One timer of a call machine, reused from call to call. */
export class CallTimer extends Timer {
  owner: TimerOwner | null = null;
  id = 0;
  /** When it was meant to fire, ms on the clock; the wheel rounds up. */
  dueAt = 0;
  /** The call's other timers, a list: a call has two or three. */
  nextOfCall: CallTimer | null = null;

  override fire(now: number): void {
    this.owner?.onTimer(this.id, now);
  }
}
