import { WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { SimEvent } from "./event-queue.ts";
import type { ChaosHandle, ChaosOptions, DrawnFault, Fault, FaultKind } from "./types.ts";
import type { SimWorld } from "./world.ts";

/**
 * Faults drawn from the world's seed: one endpoint after the other falls ill, in one way or another, and is well again. Times between faults and how long
 * they last are exponential, as those of independent failures are.
 */
export class Chaos extends SimEvent implements ChaosHandle {
  readonly faults: DrawnFault[] = [];
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #targets: readonly string[];
  readonly #kinds: readonly FaultKind[];
  readonly #everyMs: number;
  readonly #lastingMs: number;
  readonly #open = new Set<() => void>();

  /** `number`: how many there were before in this world, each of which draws for itself. */
  constructor(world: SimWorld, options: ChaosOptions, number: number) {
    super();
    const { everyMs, lastingMs, targets = world.topology.services, kinds = FAULT_KINDS } = options;
    for (const [name, ms] of Object.entries({ everyMs, lastingMs }))
      if (!(ms > 0)) bad(`${name} must be above 0, not ${ms}`);
    if (targets.length === 0 || kinds.length === 0) bad("needs a target and a kind of fault");
    for (const kind of kinds)
      if (!FAULT_KINDS.includes(kind)) bad(`"${kind}" is no fault; there are ${FAULT_KINDS.join(", ")}`);
    for (const target of targets) world.topology.find(target); // throws for what is not there
    this.#world = world;
    this.#random = world.seeds.of(`chaos ${number}`);
    this.#targets = targets;
    this.#kinds = kinds;
    this.#everyMs = everyMs;
    this.#lastingMs = lastingMs;
    this.#next();
  }

  override fire(): void {
    const random = this.#random;
    const { topology, now } = this.#world;
    const replicas = this.#targets.flatMap((target) => topology.known(target));
    const kind = this.#kinds[Math.floor(random.next() * this.#kinds.length)];
    const forMs = this.#exponential(this.#lastingMs);
    const fault: Fault = { ...faultOf(kind, random, forMs), forMs };
    const at = Math.floor(random.next() * replicas.length);
    if (replicas.length > 0) {
      const target = replicas[at].id;
      this.faults.push({ at: now, target, kind, fault });
      const { clear } = this.#world.fault(target, fault);
      this.#open.add(clear);
      this.#world.events.after(forMs, () => this.#open.delete(clear));
    }
    this.#next();
  }

  clear(): void {
    this.#world.events.cancel(this);
    for (const clear of this.#open) clear();
    this.#open.clear();
  }

  #next(): void {
    this.#world.events.schedule(this, this.#world.now + this.#exponential(this.#everyMs));
  }

  #exponential(mean: number): number {
    return -mean * Math.log(1 - this.#random.next());
  }
}

function faultOf(kind: FaultKind, random: Random, forMs: number): Fault {
  const share = 0.1 + 0.9 * random.next();
  switch (kind) {
    case "stall":
      return { stallMs: forMs };
    case "slow":
      return { slowBy: 1 + 19 * share };
    case "error":
      return { errorRate: share };
    case "reset":
      return { resetRate: share };
    case "hang":
      return { hangRate: share };
    case "down":
      return { down: true };
  }
}

function bad(message: string): never {
  throw new WeftError("invalid_argument", `chaos: ${message}`, { reason: "BAD_OPTION" });
}

const FAULT_KINDS: readonly FaultKind[] = ["stall", "slow", "error", "reset", "hang", "down"];
