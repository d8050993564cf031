import { LoadState } from "./load-state.ts";
import { PressureSources } from "./pressure.ts";

/** What policy knows of the process that it decides in. Kept across snapshots; written by shells. */
export class ProcessState {
  readonly load = new LoadState();
  readonly pressure = new PressureSources();
  /** Processes that enforce the same limits, this one included: the share that it keeps to when the shared limiter does not answer is one of so many. */
  peers = 1;
  /** What admission turned away, by reason and priority. */
  readonly shed = new Map<string, Float64Array>();

  countShed(reason: string, priority: number): void {
    let counts = this.shed.get(reason);
    if (counts === undefined) this.shed.set(reason, (counts = new Float64Array(11)));
    counts[priority]++;
  }
}
