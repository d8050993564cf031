import type { CallTimer, TimerOwner } from "./call-timer.ts";
import type { CarrierState } from "./carrier.ts";

/** The timers of a call on its way: started and cancelled by id as its machine wants, in the carrier's wheel. */
export abstract class TimedCall implements TimerOwner {
  readonly carrier: CarrierState;
  /** The call is over: nothing of it fires any more. */
  protected ended = false;
  private timers: CallTimer | null = null;

  constructor(carrier: CarrierState) {
    this.carrier = carrier;
  }

  abstract onTimer(id: number, now: number): void;

  protected startTimer(id: number, ms: number, now: number): void {
    let timer = this.timers;
    while (timer !== null && timer.id !== id) timer = timer.nextOfCall;
    if (timer === null) {
      timer = this.carrier.takeTimer(this, id);
      timer.nextOfCall = this.timers;
      this.timers = timer;
    }
    timer.dueAt = now + ms;
    this.carrier.timers.schedule(timer, ms, now);
  }

  protected cancelTimer(id: number): void {
    for (let timer = this.timers; timer !== null; timer = timer.nextOfCall) {
      if (timer.id === id) this.carrier.timers.cancel(timer);
    }
  }

  /** Fires at once what the wheel, which is coarse, would fire at its next tick. */
  protected fireOverdue(now: number): void {
    let timer = this.timers;
    while (timer !== null && !this.ended) {
      const next = timer.nextOfCall;
      if (timer.slot >= 0 && timer.dueAt <= now) {
        this.carrier.timers.cancel(timer);
        this.onTimer(timer.id, now);
      }
      timer = next;
    }
  }

  protected freeTimers(): void {
    for (let timer = this.timers; timer !== null; ) {
      const next = timer.nextOfCall;
      this.carrier.freeTimer(timer);
      timer = next;
    }
    this.timers = null;
  }
}
