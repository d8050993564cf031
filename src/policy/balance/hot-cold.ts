import type { Random } from "../../core/random.ts";
import type { BalancerSettings } from "./balancer-settings.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import type { Loads } from "./loads.ts";
import { isIn, type Pick } from "./pick.ts";
import type { Pool } from "./pool.ts";
import type { EffectiveWeights } from "./weights.ts";

/**
 * Prequal's hot-cold rule (Wydrowski, Kleinberg, Rumble, Archer, NSDI 2024, "Load is not what you should balance: Introducing Prequal"). Of a pool of
 * probed endpoints, those with more requests in flight (RIF) than the quantile Q_RIF of the pool are hot. Among the cold ones that with the lowest latency
 * is chosen; when all are hot, that with the lowest RIF. The paper's defaults: Q_RIF = 2^-0.25, a pool of 16, 3 probes a call, 1 removed a call (by
 * turns the oldest and the worst), probes not older than 1 s.
 *
 * Where weft deviates:
 *  - No probe is sent. Servers piggyback RIF and latency on the answers that they give (load-report.ts), so news comes with the calls themselves.
 *    A probe here is a look at what is known: the last report if it is not older than `maxAge`, with own calls sent since added (the paper's
 *    compensation for reuse); otherwise what this process sees itself: its own calls in flight and the peak EWMA, which fades with `decay`, so that an endpoint
 *    not heard of for long is tried again.
 *  - Latencies, reported or seen, are those of answers to earlier calls; they count (own calls in flight + 1) times. Compared as they are, everything would go to
 *    one endpoint until its next answer. In simulation (20 callers, 20 servers of which 5 at half speed, 70 % load) p99 is 53 ms with it and 74 ms without;
 *    P2C with peak EWMA has 71 ms, least request 153 ms, round robin 827 ms.
 *  - So entries of the pool are endpoints, whose values are read when a call chooses, and a reuse budget is not needed: values do not become stale by reuse.
 *  - The RIF quantile is the pool's own, not that of a longer history of probes.
 */
export class HotCold {
  readonly #table: EndpointTable;
  readonly #settings: BalancerSettings;
  /** Indexes into the pool's slots; the oldest first, `#count` of them. */
  readonly #probed: Int32Array;
  #count = 0;
  #revision = -1;
  #removeWorst = false;
  readonly #rif: Float64Array;
  readonly #sorted: Float64Array;

  constructor(table: EndpointTable, settings: BalancerSettings) {
    this.#table = table;
    this.#settings = settings;
    this.#probed = new Int32Array(settings.poolSize);
    this.#rif = new Float64Array(settings.poolSize);
    this.#sorted = new Float64Array(settings.poolSize);
  }

  choose(
    pool: Pool,
    weights: EffectiveWeights | null,
    avoid: readonly number[],
    random: Random,
    now: number,
    pick: Pick,
  ): number {
    const { slots } = pool;
    const table = this.#table;
    this.#probe(pool, random);
    const probed = this.#probed;
    const count = this.#count;
    for (let i = 0; i < count; i++) this.#rif[i] = this.#sorted[i] = this.#rifOf(slots[probed[i]], now);
    const hotAbove = quantile(this.#sorted, count, this.#settings.rifQuantile);
    let best = -1;
    let bestHot = true;
    let bestOut = true;
    let bestValue = Number.POSITIVE_INFINITY;
    let second = -1;
    let cold = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[probed[i]];
      const hot = this.#rif[i] > hotAbove;
      if (!hot) cold++;
      const out = !table.inRotation(slot, now) || isIn(avoid, slot);
      let value = hot ? this.#rif[i] : this.#costOf(slot, now);
      value /= weights === null ? pool.weightAt(probed[i]) / pool.maxWeight : weights.at(probed[i]) / weights.max;
      const better =
        out !== bestOut
          ? !out
          : hot !== bestHot
            ? !hot
            : value !== bestValue
              ? value < bestValue
              : this.#rif[i] < this.#rif[best];
      if (best >= 0 && !better) {
        if (second < 0) second = i;
        continue;
      }
      second = best;
      best = i;
      bestHot = hot;
      bestOut = out;
      bestValue = value;
    }
    const chosen = slots[probed[best]];
    const rival = second < 0 ? -1 : slots[probed[second]];
    pick.hotAbove = hotAbove;
    pick.looked = count;
    pick.cold = cold;
    pick.ewmaMs = this.#latencyOf(chosen, now);
    pick.inFlight = this.#rif[best];
    pick.rival = rival;
    if (rival >= 0) {
      pick.rivalEwmaMs = this.#latencyOf(rival, now);
      pick.rivalInFlight = this.#rif[second];
    }
    if (weights !== null) pick.warmth = weights.warmthAt(probed[best]);
    if (slots.length > count) this.#remove();
    return chosen;
  }

  /** Brings the pool up to date and some endpoints into it. */
  #probe(pool: Pool, random: Random): void {
    const count = pool.slots.length;
    const { poolSize, probesPerCall } = this.#settings;
    const probed = this.#probed;
    if (this.#revision !== pool.revision) {
      this.#revision = pool.revision;
      this.#count = 0;
    }
    if (count <= poolSize) {
      // Small groups are looked at whole.
      while (this.#count < count) probed[this.#count] = this.#count++;
      return;
    }
    const wanted = this.#count === 0 ? poolSize : probesPerCall;
    for (let i = 0; i < wanted; i++) {
      const index = Math.floor(random.next() * count);
      let known = 0;
      while (known < this.#count && probed[known] !== index) known++;
      if (known < this.#count) this.#take(known);
      else if (this.#count === poolSize) this.#take(0);
      probed[this.#count++] = index;
    }
  }

  /** One a call leaves, by turns the oldest and the worst. */
  #remove(): void {
    const { poolSize, probesPerCall } = this.#settings;
    if (this.#count < poolSize || this.#count <= probesPerCall) return;
    this.#removeWorst = !this.#removeWorst;
    let at = 0;
    if (this.#removeWorst) for (let i = 1; i < this.#count; i++) if (this.#rif[i] > this.#rif[at]) at = i;
    this.#take(at);
  }

  #take(at: number): void {
    this.#probed.copyWithin(at, at + 1, this.#count);
    this.#count--;
  }

  #rifOf(slot: number, now: number): number {
    const own = this.#table.inFlight[slot];
    const { loads } = this.#table;
    if (loads === null || now - loads.at[slot] > this.#settings.reportMaxAgeMs || loads.rif[slot] < 0) return own;
    return Math.max(own, loads.rif[slot] + own - loads.ownInFlight[slot]);
  }

  #fresh(slot: number, now: number): boolean {
    const { loads } = this.#table;
    return loads !== null && now - loads.at[slot] <= this.#settings.reportMaxAgeMs && loads.latencyMs[slot] >= 0;
  }

  #latencyOf(slot: number, now: number): number {
    const table = this.#table;
    return this.#fresh(slot, now)
      ? (table.loads as Loads).latencyMs[slot]
      : table.latency(slot, now, this.#settings.decayMs);
  }

  /** What latencies are compared by: of calls that began earlier, and so for each call that is under way since. */
  #costOf(slot: number, now: number): number {
    const table = this.#table;
    if (this.#fresh(slot, now)) return (table.loads as Loads).latencyMs[slot] * (table.inFlight[slot] + 1);
    return table.cost(slot, now, this.#settings.decayMs) * (table.endpoints[slot]?.weight ?? 1);
  }
}

/** The value at a quantile of the first `count`, which are sorted on the way. */
function quantile(values: Float64Array, count: number, q: number): number {
  for (let i = 1; i < count; i++) {
    const value = values[i];
    let at = i - 1;
    while (at >= 0 && values[at] > value) {
      values[at + 1] = values[at];
      at--;
    }
    values[at + 1] = value;
  }
  return values[Math.floor(q * (count - 1))];
}
