/**
 * How loaded the process is, as its shell measures it about every 100 ms. Nothing is measured until some policy wants to know.
 */
export class LoadState {
  /** 0..1: share of the last interval that the event loop was busy. */
  eventLoopUtilisation = 0;
  /** 0..1: of one core, all threads of the process together. */
  cpu = 0;
  /** How late the event loop came to what was due, ms. */
  loopDelayMs = 0;
  /** Intervals of READING_MS that were measured so far. */
  readings = 0;
  #wanted = false;
  #start: (() => void) | null = null;

  /**
   * A new reading. `intervals`: for how many times READING_MS it stands: an event loop that is kept busy comes late to measuring, and what it was in
   * between must count as much.
   */
  tell(eventLoopUtilisation: number, cpu: number, loopDelayMs: number, intervals = 1): void {
    this.eventLoopUtilisation = clamp(eventLoopUtilisation);
    this.cpu = clamp(cpu);
    this.loopDelayMs = Math.max(loopDelayMs, 0);
    this.readings += Math.max(1, Math.round(intervals));
  }

  /** Somebody decides by it: the shell shall measure from now on. */
  want(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#start?.();
  }

  /** What begins to measure; called once, at once when it is wanted already. Of several the first: one measures for all. */
  onWanted(start: () => void): void {
    if (this.#start !== null) return;
    this.#start = start;
    if (this.#wanted) start();
  }
}

/** Ms between two readings that policies count on. */
export const READING_MS = 100;

function clamp(ratio: number): number {
  return ratio > 0 ? Math.min(1, ratio) : 0; // also what is no number
}
