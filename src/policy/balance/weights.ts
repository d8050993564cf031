import type { BalancerSettings } from "./balancer-settings.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import type { Pool } from "./pool.ts";

/**
 * The weights of a pool's members where they change with time: a new endpoint's grow (slow start), and those of `by-load` follow what the endpoints report.
 * Computed again when the pool changed, and every REFRESH_MS or update period; read in between.
 *
 * Slow start as Envoy's SlowStartConfig: weight x max(minWeight, (age / window) ^ (1 / aggression)); defaults: aggression 1, minWeight 10 %.
 */
export class EffectiveWeights {
  readonly #table: EndpointTable;
  readonly #pool: Pool;
  readonly #settings: BalancerSettings;
  #weights = new Float64Array(0);
  #warmth = new Float64Array(0);
  #revision = -1;
  #until = Number.NEGATIVE_INFINITY;
  max = 0;
  /** Another whenever a weight is. */
  revision = 0;

  constructor(table: EndpointTable, pool: Pool, settings: BalancerSettings) {
    this.#table = table;
    this.#pool = pool;
    this.#settings = settings;
  }

  at(index: number): number {
    return this.#weights[index];
  }

  /** The share of its weight that a member has since it is new; 1 for others. */
  warmthAt(index: number): number {
    return this.#warmth[index];
  }

  refresh(now: number): void {
    if (now < this.#until && this.#revision === this.#pool.revision) return;
    const { slots, revision } = this.#pool;
    const { slowStartMs, kind, updateMs } = this.#settings;
    const count = slots.length;
    const before = this.#weights;
    this.#weights = new Float64Array(count);
    if (before.length !== count) this.#warmth = new Float64Array(count);
    this.#revision = revision;
    const byLoad = kind === "by-load";
    this.#until = now + (slowStartMs > 0 ? Math.min(REFRESH_MS, updateMs) : updateMs);
    if (byLoad) this.#byLoad(now);
    this.max = 0;
    for (let i = 0; i < count; i++) {
      const warmth = slowStartMs > 0 ? this.#warmthOf(slots[i], now) : 1;
      this.#warmth[i] = warmth;
      if (!byLoad) this.#weights[i] = this.#pool.weightAt(i);
      this.#weights[i] *= warmth;
      if (this.#weights[i] > this.max) this.max = this.#weights[i];
    }
    if (before.length !== count || before.some((weight, i) => weight !== this.#weights[i])) this.revision++;
  }

  #warmthOf(slot: number, now: number): number {
    const { slowStartMs, aggression, minWarmth } = this.#settings;
    const { joinedAt } = this.#table;
    // When it joined is known only from the first look: endpoints come without a time.
    if (joinedAt[slot] === NOT_SEEN) joinedAt[slot] = now;
    const age = (now - joinedAt[slot]) / slowStartMs;
    return age >= 1 ? 1 : Math.max(minWarmth, age ** (1 / aggression));
  }

  /** gRFC A58: members without a usable weight have the mean of the others'; with fewer than two weights all are alike. */
  #byLoad(now: number): void {
    const { slots } = this.#pool;
    let known = 0;
    let sum = 0;
    for (let i = 0; i < slots.length; i++) {
      const weight = this.#table.loads?.weightOf(slots[i], this.#settings, now) ?? 0;
      this.#weights[i] = weight;
      if (weight <= 0) continue;
      known++;
      sum += weight;
    }
    const mean = known === 0 ? 1 : sum / known;
    for (let i = 0; i < slots.length; i++) if (known < 2 || this.#weights[i] <= 0) this.#weights[i] = mean;
  }
}

/** Of EndpointTable.joinedAt. */
export const NOT_SEEN = -1;
const REFRESH_MS = 100;
