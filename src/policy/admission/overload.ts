import { type LoadState, READING_MS } from "./load-state.ts";

export interface OverloadSettings {
  /** 0..1: busy from here on; 0: not by this. */
  readonly eventLoop: number;
  readonly cpu: number;
  readonly loopDelayMs: number;
  /** 0..1: how far below its threshold a ratio must be to count as calm again. */
  readonly hysteresis: number;
  readonly sustainedMs: number;
}

/**
 * Which share of the calls a process had better turn away, by its load. A signal counts as too high only when every reading of `sustainedMs` was (as CoDel
 * waits for the least delay of an interval, Nichols and Jacobson 2012); then the admitted share shrinks by a tenth with each reading, and grows back by
 * a twentieth when all signals are calm:
 *
 *     calm --too high for sustainedMs--> shedding --below threshold - hysteresis--> recovering --admits all--> calm
 *                                            ^---------too high for sustainedMs--------'
 *
 * (DAGOR's steps of 5 % and 1 % are for windows of a second; readings come every 100 ms.) In between it stays, so that it does not swing.
 *
 *     O1  Nothing is shed before a signal was too high for sustainedMs.
 *     O2  At least a twentieth is admitted: the process must find out when it is calm again.
 *     O3  Once all signals are calm, everything is admitted within 50 readings.
 */
export class Overload {
  readonly #settings: OverloadSettings;
  readonly #load: LoadState;
  readonly #sustained: number;
  #readings: number;
  #high = 0;
  #admitted = 1;
  /** What was too high last. */
  reason: OverloadReason = "event-loop";

  constructor(settings: OverloadSettings, load: LoadState) {
    this.#settings = settings;
    this.#load = load;
    this.#sustained = Math.max(1, Math.ceil(settings.sustainedMs / READING_MS));
    this.#readings = load.readings;
    if (settings.eventLoop + settings.cpu + settings.loopDelayMs > 0) load.want();
  }

  /** 0..0.95: the share to turn away. */
  get share(): number {
    const { readings } = this.#load;
    if (readings !== this.#readings) {
      // Nobody came in between: those readings are taken for ones like this.
      const steps = Math.min(MAX_STEPS, readings - this.#readings);
      this.#readings = readings;
      for (let i = 0; i < steps; i++) this.#step();
    }
    return 1 - this.#admitted;
  }

  /** Whether the last reading was too high: what calls take now is not what they take. */
  get busy(): boolean {
    return this.#high > 0;
  }

  #step(): void {
    const { cpu, eventLoop, hysteresis, loopDelayMs } = this.#settings;
    const load = this.#load;
    const high =
      this.#over("event-loop", load.eventLoopUtilisation, eventLoop) ||
      this.#over("cpu", load.cpu, cpu) ||
      this.#over("loop-delay", load.loopDelayMs, loopDelayMs);
    if (high) {
      if (++this.#high >= this.#sustained) this.#admitted = Math.max(LEAST_ADMITTED, this.#admitted * SHRINK);
      return;
    }
    this.#high = 0;
    if (this.#admitted === 1) return;
    const calm =
      (eventLoop === 0 || load.eventLoopUtilisation < eventLoop - hysteresis) &&
      (cpu === 0 || load.cpu < cpu - hysteresis) &&
      (loopDelayMs === 0 || load.loopDelayMs < loopDelayMs / 2);
    if (calm) this.#admitted = Math.min(1, this.#admitted * GROW + LEAST_GROWTH);
  }

  #over(reason: OverloadReason, value: number, threshold: number): boolean {
    if (threshold === 0 || value < threshold) return false;
    this.reason = reason;
    return true;
  }
}

export type OverloadReason = "event-loop" | "cpu" | "loop-delay";

const SHRINK = 0.9;
const GROW = 1.05;
const LEAST_GROWTH = 0.01;
const LEAST_ADMITTED = 0.05;
const MAX_STEPS = 100;
