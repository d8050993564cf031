import type { Random } from "../../core/random.ts";
import type { BalancerSettings } from "./balancer-settings.ts";
import { DeadlineQueue } from "./deadline-queue.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import { HashChoice } from "./hash-choice.ts";
import { HotCold } from "./hot-cold.ts";
import { isIn, type Pick } from "./pick.ts";
import type { Pool } from "./pool.ts";
import { EffectiveWeights } from "./weights.ts";

/**
 * One balancer over one pool: its kind's way to draw a member, and the state that it needs (turns, table, probes), which is made when it is first used and
 * brought up to date when the pool has changed. Whether the one drawn can be used is asked by the picker, which draws again if not.
 *
 *     round-robin, weighted-round-robin, by-load    O(log n)   deadline-queue.ts; plain turns when there are no weights, O(1)
 *     random, weighted-random                       O(1)       by rejection
 *     p2c, least-request                            O(1)       of those drawn the cheapest; least-request "full" O(n)
 *     prequal                                       O(pool)    hot-cold.ts
 *     ring-hash, maglev                             O(log n), O(1); with bounded load as many steps more as endpoints are full
 */
export class Choice {
  readonly pool: Pool;
  readonly #table: EndpointTable;
  readonly #settings: BalancerSettings;
  /** Null: members have the pool's weights. */
  readonly #weights: EffectiveWeights | null;
  #cursor = 0;
  #queue: DeadlineQueue | null = null;
  #hash: HashChoice | null = null;
  #hotCold: HotCold | null = null;
  /** The revisions of the pool and of its weights that the state above was made for. */
  #revision = -1;
  #weighed = 0;
  #equal = true;

  constructor(table: EndpointTable, pool: Pool, settings: BalancerSettings) {
    this.#table = table;
    this.pool = pool;
    this.#settings = settings;
    this.#weights =
      settings.slowStartMs > 0 || settings.kind === "by-load" ? new EffectiveWeights(table, pool, settings) : null;
  }

  /** A member, by slot; -1 for one that has just gone. `draw`: how many were drawn for this attempt before, and could not be used. There must be members. */
  draw(draw: number, avoid: readonly number[], random: Random, now: number, pick: Pick): number {
    const { pool } = this;
    const { slots } = pool;
    const { kind } = this.#settings;
    if (slots.length === 1) return slots[0];
    this.#weights?.refresh(now);
    switch (kind) {
      case "p2c":
        return this.#cheaperOfTwo(avoid, random, now, pick);
      case "least-request":
        return this.#leastRequest(avoid, random, now, pick);
      case "round-robin":
        return this.#weights === null ? slots[this.#cursor++ % slots.length] : this.#turn(now, pick);
      case "weighted-round-robin":
      case "by-load":
        return this.#turn(now, pick);
      case "random":
        return slots[Math.floor(random.next() * slots.length)];
      case "weighted-random":
        return this.#weighted(random, now, pick);
      case "prequal":
        this.#hotCold ??= new HotCold(this.#table, this.#settings);
        return this.#hotCold.choose(pool, this.#weights, avoid, random, now, pick);
      default:
        this.#hash ??= new HashChoice(this.#table, pool, this.#settings);
        return this.#hash.draw(draw, random, now, pick);
    }
  }

  #weightAt(index: number): number {
    return this.#weights === null ? this.pool.weightAt(index) : this.#weights.at(index);
  }

  /** Power of two choices by peak EWMA x in flight / weight (Mitzenmacher 2001; Finagle's and Linkerd's P2C). */
  #cheaperOfTwo(avoid: readonly number[], random: Random, now: number, pick: Pick): number {
    const table = this.#table;
    const { slots } = this.pool;
    const { decayMs } = this.#settings;
    const count = slots.length;
    const first = Math.floor(random.next() * count);
    let second = Math.floor(random.next() * (count - 1));
    if (second >= first) second++;
    let chosen = slots[first];
    let rival = slots[second];
    const chosenOut = !table.inRotation(chosen, now) || isIn(avoid, chosen);
    const rivalOut = !table.inRotation(rival, now) || isIn(avoid, rival);
    let swap = chosenOut;
    if (chosenOut === rivalOut) {
      let cost = table.cost(chosen, now, decayMs);
      let rivalCost = table.cost(rival, now, decayMs);
      if (this.#weights !== null) {
        cost /= this.#weights.warmthAt(first);
        rivalCost /= this.#weights.warmthAt(second);
      }
      swap = rivalCost < cost;
    }
    if (swap) {
      const loser = chosen;
      chosen = rival;
      rival = loser;
    }
    if (this.#weights !== null) pick.warmth = this.#weights.warmthAt(swap ? second : first);
    pick.rival = rival;
    pick.ewmaMs = table.ewmaMs[chosen];
    pick.inFlight = table.inFlight[chosen];
    pick.rivalEwmaMs = table.ewmaMs[rival];
    pick.rivalInFlight = table.inFlight[rival];
    return chosen;
  }

  /**
   * Envoy's least request: of `choices` drawn the one with the fewest calls in flight; "full" of all, ties at random. Where weights differ: turns
   * by weight / (in flight + 1) ^ bias.
   */
  #leastRequest(avoid: readonly number[], random: Random, now: number, pick: Pick): number {
    const table = this.#table;
    const { slots } = this.pool;
    const { choices, fullScan, activeRequestBias } = this.#settings;
    this.#sync();
    if (!this.#equal || this.#weights !== null) {
      const queue = this.#queueOf();
      const index = queue.first();
      const slot = slots[index];
      const weight = this.#weightAt(index);
      queue.served(weight / (table.inFlight[slot] + 1) ** activeRequestBias);
      pick.weight = weight;
      pick.inFlight = table.inFlight[slot];
      this.#tellWarmth(index, pick);
      return slot;
    }
    let chosen = -1;
    let rival = -1;
    let ties = 1;
    const looks = fullScan ? slots.length : choices;
    for (let i = 0; i < looks; i++) {
      const slot = slots[fullScan ? i : Math.floor(random.next() * slots.length)];
      if (slot === chosen) continue;
      if (chosen < 0) {
        chosen = slot;
        continue;
      }
      const out = Number(!table.inRotation(slot, now) || isIn(avoid, slot));
      const chosenOut = Number(!table.inRotation(chosen, now) || isIn(avoid, chosen));
      const by = out - chosenOut || table.inFlight[slot] - table.inFlight[chosen];
      if (by > 0) {
        rival = slot;
        continue;
      }
      if (by < 0) ties = 1;
      else if (!fullScan || random.next() * ++ties >= 1) {
        rival = slot; // the first drawn stays
        continue;
      }
      rival = chosen;
      chosen = slot;
    }
    pick.looked = looks;
    pick.rival = rival;
    pick.inFlight = table.inFlight[chosen];
    if (rival >= 0) pick.rivalInFlight = table.inFlight[rival];
    return chosen;
  }

  /** Smooth weighted turns. */
  #turn(_now: number, pick: Pick): number {
    const queue = this.#queueOf();
    const index = queue.first();
    const weight = this.#weightAt(index);
    queue.served(weight);
    pick.weight = weight;
    this.#tellWarmth(index, pick);
    return this.pool.slots[index];
  }

  #queueOf(): DeadlineQueue {
    this.#sync();
    if (this.#queue === null) {
      this.#queue = new DeadlineQueue();
      this.#queue.fill(this.pool.slots, (index) => this.#weightAt(index));
    }
    return this.#queue;
  }

  /** By rejection, which is exact; after a few rejections by summing up, which is exact too and bounded. */
  #weighted(random: Random, _now: number, pick: Pick): number {
    const { slots, maxWeight } = this.pool;
    const max = this.#weights === null ? maxWeight : this.#weights.max;
    const count = slots.length;
    let index = -1;
    for (let tries = 0; tries < REJECTIONS && index < 0; tries++) {
      const drawn = Math.floor(random.next() * count);
      const weight = this.#weightAt(drawn);
      if (weight === max || random.next() * max < weight) index = drawn;
    }
    if (index < 0) {
      let total = 0;
      for (let i = 0; i < count; i++) total += this.#weightAt(i);
      let left = random.next() * total;
      index = count - 1;
      for (let i = 0; i < count - 1; i++) {
        if ((left -= this.#weightAt(i)) >= 0) continue;
        index = i;
        break;
      }
    }
    pick.weight = this.#weightAt(index);
    this.#tellWarmth(index, pick);
    return slots[index];
  }

  #tellWarmth(index: number, pick: Pick): void {
    if (this.#weights !== null) pick.warmth = this.#weights.warmthAt(index);
  }

  // === when the pool has changed ==================================================================================

  #sync(): void {
    const { pool } = this;
    const weighed = this.#weights?.revision ?? 0;
    if (this.#revision === pool.revision) {
      if (this.#weighed === weighed) return;
      this.#weighed = weighed;
      this.#queue?.fill(pool.slots, (index) => this.#weightAt(index));
      return;
    }
    this.#revision = pool.revision;
    this.#weighed = weighed;
    this.#equal = true;
    const first = pool.weightAt(0);
    for (let i = 1; i < pool.slots.length && this.#equal; i++) this.#equal = pool.weightAt(i) === first;
    this.#queue?.fill(pool.slots, (index) => this.#weightAt(index));
  }
}

const REJECTIONS = 4;
