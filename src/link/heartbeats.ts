import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { Stream } from "./stream.ts";

export interface HeartbeatsOptions {
  clock: Clock;
  /** How often to beat where the control plane wishes `periodMs`: shorter leases need more. */
  beatMs: (periodMs: number) => number;
  /** There are other control planes to go to. */
  several: boolean;
}

/** Keeps streams alive, and fails one (LINE_SILENT) on which nothing is heard. */
export class Heartbeats {
  readonly #options: HeartbeatsOptions;

  constructor(options: HeartbeatsOptions) {
    this.#options = options;
  }

  /** From now on, in place of what was begun before on this stream; it ends with the stream. */
  start(stream: Stream, periodMs: number): void {
    const { clock, beatMs } = this.#options;
    stream.timer();
    stream.timer = clock.after(beatMs(periodMs), () => {
      if (++stream.silentBeats > SILENT_BEATS)
        return stream.fail(silent(`nothing was heard for ${SILENT_BEATS} heartbeats`));
      // One load report may wait before it; more than that means a line that takes nothing now.
      if (stream.outbox.size < 2) {
        stream.outbox.push({ message: { case: "heartbeat", value: { requestId: stream.request(ignore) } } });
      }
      this.#expectAnswer(stream, periodMs);
      this.start(stream, periodMs);
    });
  }

  /** Where there is another control plane, nobody waits three heartbeats for one that is silent: leases would end before they are renewed there. */
  #expectAnswer(stream: Stream, periodMs: number): void {
    const { clock, beatMs, several } = this.#options;
    if (!several) return;
    const withinMs = Math.max(LEAST_ANSWER_MS, beatMs(periodMs) / 2);
    const late = `a heartbeat was not answered within ${Math.round(withinMs)} ms`;
    stream.expect(clock.after(withinMs, () => stream.fail(silent(late))));
  }
}

function silent(message: string): WeftError {
  return new WeftError("unavailable", message, { reason: "LINE_SILENT" });
}

function ignore(): void {}

const SILENT_BEATS = 3;
/** A control plane that collects garbage or waits for its disk is not left for it. */
const LEAST_ANSWER_MS = 1_000;
