import { Effect } from "../call.ts";
import type { Attempt } from "./attempt.ts";
import type { EffectQueue } from "./effect-queue.ts";

/** Timer ids; an attempt has TIMER_TRY + its number. */
export const TIMER_DEADLINE = 1;
export const TIMER_WAIT = 2;
export const TIMER_TRY = 2;
/** Beyond the last attempt's: 1 first, 10 retries, 4 hedges, 1 at a stand-by. */
export const TIMER_HEDGE = 30;
export const TIMER_IDLE = 31;

/**
 * Which of a call's timers run: one for its deadline, one for what it waits for before the next step (a back-off, the answer to a query), one for each
 * attempt (its `timed`), one for the next hedge, and one for the silence on both sides. What runs is cancelled once; what fired late is ignored.
 */
export class CallTimers {
  deadlineRuns = false;
  waitRuns = false;
  hedgeRuns = false;
  idleRuns = false;
  private readonly effects: EffectQueue;

  constructor(effects: EffectQueue) {
    this.effects = effects;
  }

  /** Starts it, or starts it anew. */
  startDeadline(delayMs: number): void {
    this.deadlineRuns = true;
    this.effects.push(Effect.startTimer, TIMER_DEADLINE, delayMs);
  }

  stopDeadline(): void {
    if (!this.deadlineRuns) return;
    this.deadlineRuns = false;
    this.effects.push(Effect.cancelTimer, TIMER_DEADLINE, 0);
  }

  startWaiting(delayMs: number): void {
    this.waitRuns = true;
    this.effects.push(Effect.startTimer, TIMER_WAIT, delayMs);
  }

  stopWaiting(): void {
    if (!this.waitRuns) return;
    this.waitRuns = false;
    this.effects.push(Effect.cancelTimer, TIMER_WAIT, 0);
  }

  startHedge(delayMs: number): void {
    this.hedgeRuns = true;
    this.effects.push(Effect.startTimer, TIMER_HEDGE, delayMs);
  }

  stopHedge(): void {
    if (!this.hedgeRuns) return;
    this.hedgeRuns = false;
    this.effects.push(Effect.cancelTimer, TIMER_HEDGE, 0);
  }

  /** Starts it, or starts it anew. */
  startIdle(delayMs: number): void {
    this.idleRuns = true;
    this.effects.push(Effect.startTimer, TIMER_IDLE, delayMs);
  }

  stopIdle(): void {
    if (!this.idleRuns) return;
    this.idleRuns = false;
    this.effects.push(Effect.cancelTimer, TIMER_IDLE, 0);
  }

  startTry(attempt: Attempt, delayMs: number): void {
    attempt.timed = true;
    this.effects.push(Effect.startTimer, TIMER_TRY + attempt.number, delayMs);
  }

  stopTry(attempt: Attempt): void {
    if (!attempt.timed) return;
    attempt.timed = false;
    this.effects.push(Effect.cancelTimer, TIMER_TRY + attempt.number, 0);
  }

  /** All but those of attempts. */
  stopAll(): void {
    if (this.deadlineRuns) this.stopDeadline();
    if (!this.waitRuns && !this.hedgeRuns && !this.idleRuns) return;
    this.stopWaiting();
    this.stopHedge();
    this.stopIdle();
  }

  reset(): void {
    this.deadlineRuns = this.waitRuns = this.hedgeRuns = this.idleRuns = false;
  }
}
