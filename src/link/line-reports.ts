import type { EndpointLoadSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Clock } from "../core/clock.ts";
import type { Stream } from "./stream.ts";
import { TrafficReport } from "./traffic-report.ts";
import type { SuppliedPolicy } from "./types.ts";

export interface LineReportsOptions {
  clock: Clock;
  /** Load of the endpoints; undefined: nothing is reported. */
  load: (() => readonly MessageInitShape<typeof EndpointLoadSchema>[]) | undefined;
  /** Calls by backend; undefined: nothing is reported. */
  edges: SuppliedPolicy["edges"];
  /** Whether a stream is still the line's. */
  isCurrent: (stream: Stream) => boolean;
}

/** What a process tells of its load and its calls, more often than heartbeats, for whoever looks on; a line that is behind is given less to do. */
export class LineReports {
  readonly #options: LineReportsOptions;

  constructor(options: LineReportsOptions) {
    this.#options = options;
  }

  /** From now on, until the stream is not the line's any more. */
  start(stream: Stream): void {
    this.#reportLoad(stream);
    this.#reportTraffic(stream);
  }

  #reportLoad(stream: Stream): void {
    const { load, clock, isCurrent } = this.#options;
    if (load === undefined || !isCurrent(stream)) return;
    if (stream.outbox.size === 0) {
      const endpoints = load();
      if (endpoints.length > 0) stream.outbox.push({ message: { case: "load", value: { endpoints: [...endpoints] } } });
    }
    clock.after(EVERY_MS, () => this.#reportLoad(stream));
  }

  /** Those calls alone are told that have changed on this stream. The first report, of an empty stream, says that counting begins here. */
  #reportTraffic(stream: Stream): void {
    const { edges, clock, isCurrent } = this.#options;
    if (edges === undefined) return;
    const report = new TrafficReport(edges);
    const tell = (first: boolean): void => {
      if (!isCurrent(stream)) return;
      if (stream.outbox.size < 2) {
        const changed = report.take();
        const value = { edges: changed, measuredMs: clock.now() };
        if (first || changed.length > 0) stream.outbox.push({ message: { case: "traffic", value } });
      }
      clock.after(EVERY_MS, () => tell(false));
    };
    tell(true);
  }
}

const EVERY_MS = 1_000;
