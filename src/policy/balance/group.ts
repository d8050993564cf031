import { makeRoom } from "../../core/kept.ts";
import type { BalancerSettings } from "./balancer-settings.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import { Picker } from "./picker.ts";
import type { Pool } from "./pool.ts";

/** Healthy endpoints of a service or of one of its versions. Slim: a system has thousands. */
export class Group implements Pool {
  readonly service: string;
  /** "" is every version. */
  readonly version: string;
  readonly slots: number[] = [];
  revision = 0;
  /** Attempts under way from this process. */
  inFlight = 0;
  #weights: number[] = [];
  #maxWeight = 0;
  /** The state of its balancers, by their settings' key; the one used last is at hand. */
  #last: Picker | null = null;
  #pickers: Map<string, Picker> | null = null;

  constructor(service: string, version: string) {
    this.service = service;
    this.version = version;
  }

  get name(): string {
    return this.version === "" ? this.service : `${this.service}@${this.version}`;
  }

  weightAt(index: number): number {
    return this.#weights[index];
  }

  get maxWeight(): number {
    if (this.#maxWeight === 0)
      for (const weight of this.#weights) if (weight > this.#maxWeight) this.#maxWeight = weight;
    return this.#maxWeight;
  }

  /** The balancer of this group with these settings. State is kept for whoever has equal settings, across snapshots. */
  picker(table: EndpointTable, settings: BalancerSettings): Picker {
    const last = this.#last;
    if (last !== null && (last.settings === settings || last.settings.key === settings.key)) return last;
    this.#pickers ??= new Map();
    let picker = this.#pickers.get(settings.key);
    if (picker === undefined) {
      makeRoom(this.#pickers, MAX_PICKERS);
      this.#pickers.set(settings.key, (picker = new Picker(table, this, settings)));
    }
    this.#last = picker;
    return picker;
  }

  /** Returns the member's index. */
  add(slot: number, weight: number): number {
    this.revision++;
    if (this.#maxWeight !== 0 && weight > this.#maxWeight) this.#maxWeight = weight;
    this.#weights.push(weight);
    return this.slots.push(slot) - 1;
  }

  /** The last member takes the place; returns its slot, or -1 when none moved. */
  removeAt(index: number): number {
    this.revision++;
    const weight = this.#weights[index];
    const lastSlot = this.slots.pop() as number;
    const lastWeight = this.#weights.pop() as number;
    if (weight === this.#maxWeight) this.#maxWeight = 0; // found again when it is asked for
    if (index === this.slots.length) return -1;
    this.slots[index] = lastSlot;
    this.#weights[index] = lastWeight;
    return lastSlot;
  }

  /** The member has another weight. */
  reweigh(index: number, weight: number): void {
    if (this.#weights[index] === weight) return;
    this.revision++;
    this.#weights[index] = weight;
    this.#maxWeight = 0;
  }
}

/** Settings in use for one group at once: one for each method that has its own, at most. */
const MAX_PICKERS = 64;
