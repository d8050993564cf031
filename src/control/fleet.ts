import {
  Algorithm,
  type BreakerReport,
  BreakerState,
  type BreakerWordSchema,
  Fleet as FleetContract,
  type LeaseAsk as LeaseAskMessage,
  type LeaseRequest,
  type LeaseResponseSchema,
  type MeetRequest,
  type MeetResponseSchema,
} from "../contract/gen/weft/control/v1/fleet.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { type LeaseAsk, LimitGrantor } from "../policy/limit/limit-grantor.ts";
import type { SharedLimitRequest } from "../policy/limit/shared-limit.ts";
import { FleetBreakers } from "../policy/resilience/fleet-breakers.ts";
import { type ServiceDefinition, service } from "../service/definition.ts";

/**
 * What processes decide together. Kept in memory only: after a restart of the control plane every process goes by its own evidence until it has been heard
 * of again. Nothing here has a timer: time goes on when somebody asks.
 */
export class Fleet {
  readonly #clock: Clock;
  readonly #grantor = new LimitGrantor();
  /** When each process met last, by role. */
  readonly #roles = new Map<string, Map<string, number>>();
  /** Of all roles together. */
  #met = 0;
  /** When room was made last: it costs as much as there is. */
  #forgotAt = Number.NEGATIVE_INFINITY;
  readonly #breakers = new FleetBreakers();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws invalid_argument for what no process of ours would send */
  meet({ process, role, breakers }: MeetRequest): MessageInitShape<typeof MeetResponseSchema> {
    checkProcess(process, breakers.length);
    const now = this.#clock.now();
    return {
      breakers: breakers.map((report) => this.#breaker(process, report, now)),
      peers: this.#peers(process, role, now),
    };
  }

  lease({ process, asks }: LeaseRequest): MessageInitShape<typeof LeaseResponseSchema> {
    checkProcess(process, asks.length);
    const now = this.#clock.now();
    return { grants: asks.map((ask) => this.#grantor.lease(leaseAskOf(process, ask), now)) };
  }

  #peers(process: string, role: string, now: number): number {
    let met = this.#roles.get(role);
    if (met === undefined) {
      if (role.length > MAX_NAME || (this.#roles.size >= MAX_ROLES && !this.#forgetRoles(now))) return 1;
      this.#roles.set(role, (met = new Map()));
    }
    // Whoever reaches the port may meet, under any names.
    if (!met.has(process) && this.#met >= MAX_MET && !this.#forgetRoles(now)) return Math.max(1, met.size);
    if (!this.#roles.has(role)) this.#roles.set(role, met);
    const before = met.size;
    met.delete(process);
    met.set(process, now);
    // In the order in which they were heard of.
    for (const [other, at] of met) {
      if (now - at <= PEER_MS && met.size <= MAX_REPORTS) break;
      met.delete(other);
    }
    this.#met += met.size - before;
    return met.size;
  }

  /** Roles of which nobody was heard lately make room. */
  #forgetRoles(now: number): boolean {
    if (now - this.#forgotAt < PEER_MS / 10) return false;
    this.#forgotAt = now;
    for (const [role, met] of this.#roles) {
      const before = met.size;
      for (const [process, at] of met) if (now - at > PEER_MS) met.delete(process);
      this.#met += met.size - before;
      if (met.size === 0) this.#roles.delete(role);
    }
    return this.#roles.size < MAX_ROLES && this.#met < MAX_MET;
  }

  #breaker(process: string, report: BreakerReport, now: number): MessageInitShape<typeof BreakerWordSchema> {
    if (report.key === "" || report.key.length > MAX_KEY) {
      throw new WeftError("invalid_argument", `a breaker's key has 1 to ${MAX_KEY} characters`, {
        reason: "BAD_REPORT",
      });
    }
    const word = this.#breakers.meet(process, report, now);
    if (word === null) {
      throw new WeftError("resource_exhausted", "too many breakers are shared already", {
        reason: "TOO_MANY_BREAKERS",
      });
    }
    const { state, reopensInMs, probe, term, voters } = word;
    return { state: STATES[state], reopensInMs: Math.ceil(reopensInMs), probe, term, voters };
  }
}

export function createFleetService(fleet: Fleet): ServiceDefinition<typeof FleetContract> {
  return service(FleetContract, { meet: (request) => fleet.meet(request), lease: (request) => fleet.lease(request) });
}

/** @throws invalid_argument for numbers that make no limit */
function leaseAskOf(node: string, ask: LeaseAskMessage): LeaseAsk {
  const { limit: name, key, requests, perMs, burst, wanted, demand, returned } = ask;
  const algorithm = ALGORITHMS[ask.algorithm];
  const sane = [requests, perMs, burst, wanted].every((value) => value >= 1 && value <= MAX_NUMBER);
  const counted = [demand, returned].every((value) => value >= 0 && value <= MAX_NUMBER);
  if (algorithm === undefined || !sane || !counted || name.length > MAX_NAME || key.length > MAX_KEY) {
    throw new WeftError("invalid_argument", `no tokens can be leased of limit "${name.slice(0, MAX_NAME)}"`, {
      reason: "BAD_ASK",
    });
  }
  return { limit: { name, key, algorithm, requests, perMs, burst, cost: 1 }, node, wanted, demand, returned };
}

function checkProcess(process: string, asks: number): void {
  if (process !== "" && process.length <= MAX_NAME && asks <= MAX_REPORTS) return;
  const message = `a process has a name of at most ${MAX_NAME} characters and asks about at most ${MAX_REPORTS} things at once`;
  throw new WeftError("invalid_argument", message, { reason: "BAD_REPORT" });
}

const ALGORITHMS: Readonly<Record<number, SharedLimitRequest["algorithm"]>> = {
  [Algorithm.TOKEN_BUCKET]: "token-bucket",
  [Algorithm.GCRA]: "gcra",
  [Algorithm.SLIDING_WINDOW]: "sliding-window",
};
const STATES = {
  closed: BreakerState.CLOSED,
  open: BreakerState.OPEN,
  "half-open": BreakerState.HALF_OPEN,
} as const;
const MAX_NAME = 256;
const MAX_KEY = 2_048;
const MAX_REPORTS = 10_000;
const MAX_ROLES = 10_000;
/** Ten times as many processes as may be attached. */
const MAX_MET = 200_000;
/** Processes meet twice a second. */
const PEER_MS = 10_000;
const MAX_NUMBER = 1e12;
