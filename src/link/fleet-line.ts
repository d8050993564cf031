import type { Client } from "../call/client-types.ts";
import {
  type BreakerReportSchema,
  BreakerState,
  type Fleet,
  type MeetResponse,
} from "../contract/gen/weft/control/v1/fleet.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Cancel, Clock } from "../core/clock.ts";
import type { FleetWord } from "../policy/resilience/fleet-breaker.ts";
import type { BreakerEvidence } from "../policy/resilience/fleet-breakers.ts";
import type { QuorumBreaker } from "../policy/resilience/quorum-breaker.ts";
import type { SuppliedPolicy } from "./types.ts";

export interface FleetLineOptions {
  /** Of the control plane that is used at the moment. */
  client: () => Client<typeof Fleet>;
  policy: SuppliedPolicy;
  /** Unique to this run of the process. */
  process: string;
  clock: Clock;
}

/**
 * A process's part in what the fleet decides: twice a second it tells the control plane what its shared breakers saw, and hears what the fleet makes of
 * them, and how many processes keep the same shared limits. It says nothing before the first such breaker or limit is there. What fails is asked again next time; meanwhile each process goes by its own evidence.
 */
export class FleetLine {
  readonly #options: FleetLineOptions;
  #cancel: Cancel = () => {};
  #asking = false;
  #closed = false;

  constructor(options: FleetLineOptions) {
    this.#options = options;
    this.#wait();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #wait(): void {
    this.#cancel = this.#options.clock.after(EVERY_MS, () => {
      void this.#meet();
      if (!this.#closed) this.#wait();
    });
  }

  async #meet(): Promise<void> {
    const { policy, clock, process, client } = this.#options;
    const breakers = [...policy.quorumBreakers()].slice(0, MAX_REPORTS);
    const shares = policy.sharesLimits;
    if (this.#asking || (breakers.length === 0 && !shares)) return;
    this.#asking = true;
    const told = breakers.map((breaker) => breaker.evidence());
    try {
      const answer = await client().meet(
        { process, role: roleOf(process), breakers: told.map(reportOf) },
        { timeoutMs: TIMEOUT_MS },
      );
      if (this.#closed) return;
      hear(breakers, answer, clock.now());
      policy.process.peers = Math.max(1, answer.peers);
    } catch {
      breakers.forEach((breaker, i) => {
        breaker.keep(told[i]);
      });
      // The control plane is away or older than this: silence is what the breakers go by.
    } finally {
      this.#asking = false;
    }
  }
}

function reportOf(seen: BreakerEvidence): MessageInitShape<typeof BreakerReportSchema> {
  return { ...seen, calls: Math.min(seen.calls, MAX_COUNT) }; // while the control plane is away they add up
}

function hear(breakers: readonly QuorumBreaker[], { breakers: words }: MeetResponse, now: number): void {
  breakers.forEach((breaker, i) => {
    const word = words[i];
    if (word === undefined) return;
    const { reopensInMs, probe, term, voters } = word;
    breaker.hear({ state: STATES[word.state] ?? "closed", reopensInMs, probe, term, voters }, now);
  });
}

/** "gateway" of "gateway/4711/k3f9", "orders" of "orders-2/...". */
function roleOf(process: string): string {
  return process.split("/", 1)[0].replace(/-\d+$/, "");
}

const STATES: Readonly<Record<number, FleetWord["state"]>> = {
  [BreakerState.CLOSED]: "closed",
  [BreakerState.OPEN]: "open",
  [BreakerState.HALF_OPEN]: "half-open",
};
const EVERY_MS = 500;
const TIMEOUT_MS = 2_000;
const MAX_REPORTS = 1_000;
/** Of a uint32. */
const MAX_COUNT = 4_294_967_295;
