import { WeftError } from "../core/errors.ts";
import { READING_MS } from "../policy/admission/load-state.ts";
import type { EventQueue } from "./event-queue.ts";
import type { SimProcess } from "./process.ts";
import type { FaultHandle, ProcessLoad } from "./types.ts";

/**
 * How busy the world says that processes are. A process that was never said to be busy has no readings, as one whose load nobody measures; from then on it has one for
 * every 100 ms, told when the next call comes: nothing happens by itself.
 */
export class BusyProcesses {
  readonly #events: EventQueue;
  readonly #known = new Map<string, { readonly loads: Set<ProcessLoad>; readonly since: number }>();

  constructor(events: EventQueue) {
    this.#events = events;
  }

  /** Throws `invalid_argument` for a load that means nothing. */
  begin(names: readonly string[], given: ProcessLoad): FaultHandle {
    checkLoad(given);
    const load = { ...given };
    const { from = 0, forMs } = load;
    for (const name of names) {
      if (!this.#known.has(name)) this.#known.set(name, { loads: new Set(), since: this.#events.now() });
    }
    const begin = (): void => {
      for (const name of names) this.#known.get(name)?.loads.add(load);
    };
    const cancelBegin = from > 0 ? this.#events.after(from, begin) : begin();
    const clear = (): void => {
      cancelBegin?.();
      cancelEnd?.();
      for (const name of names) this.#known.get(name)?.loads.delete(load);
    };
    const cancelEnd = forMs === undefined ? undefined : this.#events.after(from + forMs, clear);
    return { clear };
  }

  /** Before a process decides: what it should have measured by now. */
  measure(process: SimProcess): void {
    const known = this.#known.get(process.name);
    if (known === undefined) return;
    process.measuredAt = Math.max(process.measuredAt, known.since);
    const intervals = Math.floor((this.#events.now() - process.measuredAt) / READING_MS);
    if (intervals === 0) return;
    process.measuredAt += intervals * READING_MS;
    const most = (of: (load: ProcessLoad) => number | undefined): number =>
      Math.max(0, ...Array.from(known.loads, (load) => of(load) ?? 0));
    process.policy.process.load.tell(
      most(({ eventLoop }) => eventLoop),
      most(({ cpu }) => cpu),
      most(({ loopDelayMs }) => loopDelayMs),
      intervals,
    );
  }
}

function checkLoad(load: ProcessLoad): void {
  for (const name of ["eventLoop", "cpu"] as const) {
    const share = load[name];
    if (share !== undefined && !(share >= 0 && share <= 1)) bad(name, share, "between 0 and 1");
  }
  for (const name of ["loopDelayMs", "from", "forMs"] as const) {
    const ms = load[name];
    if (ms !== undefined && !(ms >= 0)) bad(name, ms, "at least 0");
  }
}

function bad(field: string, value: number, rule: string): never {
  throw new WeftError("invalid_argument", `a process's ${field} must be ${rule}, not ${value}`, {
    reason: "BAD_OPTION",
    place: { field },
  });
}
