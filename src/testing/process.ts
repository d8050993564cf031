import type { Random } from "../core/random.ts";
import type { Place } from "../policy/call.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { START_WALL_MS } from "./event-queue.ts";

/** A process that decides about calls: a gateway, a client, a sidecar. What it learns is its own. */
export class SimProcess {
  readonly name: string;
  readonly place: Place;
  readonly policy: PolicyRuntime;
  /** Until when its load is known to it, virtual ms. */
  measuredAt = 0;

  constructor(name: string, place: Place, random: Random, zone: string, service: string) {
    this.name = name;
    this.place = place;
    this.policy = createPolicyRuntime({ random, record: "all", wallAt: START_WALL_MS, zone, service });
  }
}
