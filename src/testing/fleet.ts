import { MemoryLimits } from "../policy/limit/memory-limits.ts";
import type { SharedLimitRequest } from "../policy/limit/shared-limit.ts";
import { FleetBreakers } from "../policy/resilience/fleet-breakers.ts";
import type { EventQueue } from "./event-queue.ts";
import type { SimProcess } from "./process.ts";

/**
 * What the processes of a world decide together, as a control plane has them do it: breakers by quorum, twice a second, and limits that all of them share,
 * counted in one place. The machines are the control plane's own; only the wire between is missing.
 */
export class SimFleet {
  readonly #events: EventQueue;
  readonly #processes: () => Iterable<SimProcess>;
  readonly #breakers = new FleetBreakers();
  readonly #limits: MemoryLimits;
  #scheduled = false;
  /** Meetings since the last call. */
  #quiet = 0;

  constructor(events: EventQueue, processes: () => Iterable<SimProcess>) {
    this.#events = events;
    this.#processes = processes;
    this.#limits = new MemoryLimits(() => events.now());
  }

  /** A call begins somewhere: there may be something to say soon. */
  called(): void {
    this.#quiet = 0;
    if (!this.#scheduled && this.#hasBreakers()) this.#schedule();
  }

  /** Answers a query of kind "shared-limit". */
  take(request: SharedLimitRequest): unknown {
    let answer: unknown = null;
    this.#limits.take(request, (given) => {
      answer = given;
    });
    return answer;
  }

  #hasBreakers(): boolean {
    for (const { policy } of this.#processes()) for (const _ of policy.quorumBreakers()) return true;
    return false;
  }

  #schedule(): void {
    this.#scheduled = true;
    this.#events.after(EVERY_MS, () => {
      this.#scheduled = false;
      this.#meet();
      if (++this.#quiet < QUIET_MEETINGS) this.#schedule();
    });
  }

  #meet(): void {
    const now = this.#events.now();
    for (const { name, place, policy } of this.#processes()) {
      for (const breaker of policy.quorumBreakers()) {
        const word = this.#breakers.meet(`${place} ${name}`, breaker.evidence(), now);
        if (word !== null) breaker.hear(word, now);
      }
    }
  }
}

const EVERY_MS = 500;
/** After so many without a call nothing more is scheduled, so that a world in which nothing happens any more comes to rest. */
const QUIET_MEETINGS = 240;
