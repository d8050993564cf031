import type { Random } from "../../core/random.ts";
import type { LoadState } from "../admission/load-state.ts";
import { AimdLimit } from "./aimd.ts";
import { BbrLimit } from "./bbr.ts";
import type { ConcurrencySettings } from "./concurrency-field.ts";
import { Gradient2Limit } from "./gradient2.ts";
import { SampleWindow } from "./sample-window.ts";
import { VegasLimit } from "./vegas.ts";

/** How many calls may be in flight, found by watching what becomes of them. A machine: time and randomness are parameters, load is read from LoadState. */
export interface AdaptiveLimit {
  /** Calls beyond this many at once are refused. Infinity: no reason to refuse any. */
  limitAt(inFlight: number, now: number): number;
  /**
   * A call ended.
   *
   * @param rttMs how long it took, above 0
   * @param inFlight with how many others at once, itself included, when it began
   * @param dropped it failed for want of capacity: timed out, or was refused
   */
  sample(rttMs: number, inFlight: number, dropped: boolean, random: Random, now: number): void;
}

/** An algorithm that needs no time between samples to decide; what SampleWindow feeds. */
export interface LimitEstimate {
  readonly limit: number;
  update(rttMs: number, inFlight: number, dropped: boolean, random: Random): void;
}

export function createAdaptiveLimit(settings: ConcurrencySettings, load: LoadState): AdaptiveLimit {
  switch (settings.algorithm) {
    case "bbr":
      load.want();
      return new BbrLimit(settings, load);
    case "aimd":
      return new SampleWindow(new AimdLimit(settings), settings.windowMs);
    case "vegas":
      return new SampleWindow(new VegasLimit(settings), settings.windowMs);
    default:
      return new SampleWindow(new Gradient2Limit(settings), settings.windowMs);
  }
}
