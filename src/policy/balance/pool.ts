import type { EndpointTable } from "./endpoint-table.ts";

/** Some endpoints with their weights, which a balancer chooses from. `revision` is another whenever they are. */
export interface Pool {
  readonly slots: readonly number[];
  readonly revision: number;
  weightAt(index: number): number;
  /** The largest weight among the members. */
  readonly maxWeight: number;
  /** Attempts under way from this process to them; -1: to be summed up. */
  readonly inFlight: number;
}

/** Endpoints of a group that belong together by priority, zone, subset or panic. */
export class MemberPool implements Pool {
  slots: readonly number[] = [];
  revision = 0;
  readonly inFlight = -1;
  maxWeight = 0;
  readonly #table: EndpointTable;
  #weights: readonly number[] = [];
  /** Of the members' slots, which may be another endpoint's by now. */
  #generations: readonly number[] = [];

  constructor(table: EndpointTable) {
    this.#table = table;
  }

  /** Has these members from now on; remains what it is when they are the same. */
  set(slots: readonly number[]): void {
    const { endpoints, generation } = this.#table;
    const weights = slots.map((slot) => endpoints[slot]?.weight ?? 1);
    const generations = slots.map((slot) => generation[slot]);
    const same = (a: readonly number[], b: readonly number[]): boolean =>
      a.length === b.length && a.every((value, i) => value === b[i]);
    if (same(slots, this.slots) && same(weights, this.#weights) && same(generations, this.#generations)) return;
    this.slots = slots;
    this.#weights = weights;
    this.#generations = generations;
    this.maxWeight = 0;
    for (const weight of weights) if (weight > this.maxWeight) this.maxWeight = weight;
    this.revision++;
  }

  weightAt(index: number): number {
    return this.#weights[index];
  }
}
