import type { Random } from "../../core/random.ts";
import type { BalancerSettings } from "./balancer-settings.ts";
import { Choice } from "./choice.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import type { Group } from "./group.ts";
import { Layout } from "./layout.ts";
import { isIn, type Pick } from "./pick.ts";

/**
 * Chooses endpoints of one group by one set of settings, and keeps what that takes. In order of preference: endpoints in rotation that this call has not
 * tried (`avoid`), those in rotation, those put aside that it has not tried, any. So a call never goes back to an endpoint that failed it
 * while another is in rotation, and endpoints that were put aside are still better than none.
 */
export class Picker {
  readonly settings: BalancerSettings;
  readonly #table: EndpointTable;
  /** Over the whole group; there unless a layout says which part of it a call has. */
  readonly #whole: Choice;
  readonly #layout: Layout | null;

  constructor(table: EndpointTable, group: Group, settings: BalancerSettings) {
    this.#table = table;
    this.settings = settings;
    this.#whole = new Choice(table, group, settings);
    this.#layout = settings.placed ? new Layout(table, group, settings) : null;
  }

  /**
   * A slot, or -1 when every endpoint has `maxInFlight` calls, or there is none. `pick.hash` is the call's key, where the kind goes by one, and
   * `pick.wanted` the values of the subset that it wants.
   */
  pick(maxInFlight: number, avoid: readonly number[], random: Random, now: number, pick: Pick): number {
    const table = this.#table;
    pick.begin(this.settings.kind);
    const choice = this.#layout === null ? this.#whole : this.#layout.choose(pick.wanted, random, now, pick);
    if (choice === null) return -1;
    const { slots } = choice.pool;
    const count = slots.length;
    pick.candidates = count;
    if (count === 0) return -1;
    const panic = this.#layout !== null && pick.panic;
    const draws = count === 1 ? 1 : DRAWS;
    for (let draw = 0; draw < draws; draw++) {
      const slot = choice.draw(draw, avoid, random, now, pick);
      if (
        slot >= 0 &&
        table.inFlight[slot] < maxInFlight &&
        (panic || table.inRotation(slot, now)) &&
        !isIn(avoid, slot)
      )
        return slot;
      pick.skipped++;
    }
    pick.rival = -1;
    pick.resort = true;
    const slot = this.#lastResort(slots, maxInFlight, avoid, random, now);
    if (this.#layout === null || panic || this.#rankOf(slot, avoid, now) === BEST) return slot;
    // Nobody of its level and zone will do: better farther than to one that failed.
    const { beyond } = this.#layout;
    if (beyond.length === count) return slot;
    const farther = this.#lastResort(beyond, maxInFlight, avoid, random, now);
    if (this.#rankOf(farther, avoid, now) <= this.#rankOf(slot, avoid, now)) return slot;
    pick.candidates = beyond.length;
    pick.beyond = true;
    return farther;
  }

  /** From -1 (none) to 3 (in rotation, and not tried). */
  #rankOf(slot: number, avoid: readonly number[], now: number): number {
    if (slot < 0) return -1;
    const fresh = !isIn(avoid, slot);
    return this.#table.inRotation(slot, now) ? (fresh ? BEST : 2) : fresh ? 1 : 0;
  }

  #lastResort(
    slots: readonly number[],
    maxInFlight: number,
    avoid: readonly number[],
    random: Random,
    now: number,
  ): number {
    const table = this.#table;
    const count = slots.length;
    const start = Math.floor(random.next() * count);
    let best = -1;
    let bestRank = -1;
    for (let i = 0; i < count; i++) {
      const slot = slots[(start + i) % count];
      if (table.inFlight[slot] >= maxInFlight) continue;
      const rank = this.#rankOf(slot, avoid, now);
      if (rank > bestRank) {
        best = slot;
        bestRank = rank;
        if (rank === BEST) break;
      }
    }
    return best;
  }
}

const BEST = 3;
/** Members drawn before all are looked through. */
const DRAWS = 4;
