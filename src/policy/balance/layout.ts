import type { Endpoint } from "../../core/endpoint.ts";
import type { Random } from "../../core/random.ts";
import { type BalancerSettings, VALUE_END } from "./balancer-settings.ts";
import type { Choice } from "./choice.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import type { Group } from "./group.ts";
import { hashNumber, hashText } from "./hash.ts";
import type { Pick } from "./pick.ts";
import { Placement } from "./placement.ts";

/**
 * Which endpoints of a group are there for a call, before its balancer chooses one:
 *
 *     all of the group, unhealthy ones included, draining ones not
 *       -> those that this process uses at all (`subsetSize`)
 *       -> the subset that the call wants (`subset`), or its fallback
 *       -> priority level, zone, panic                                       placement.ts
 *
 * Subsets as Envoy's LbSubsetConfig, with its fallbacks NO_FALLBACK ("none"), ANY_ENDPOINT ("any"), DEFAULT_SUBSET ("default"). They are made of the values that
 * endpoints have, so that callers who ask for others make none.
 *
 * `subsetSize` as gRFC A68 (random subsetting by rendezvous hashing): the k endpoints with the lowest hash of id and the process's seed. Every endpoint
 * is in as many processes' subsets as any other but for chance, and a change of one endpoint changes at most one member.
 */
export class Layout {
  readonly #table: EndpointTable;
  readonly #group: Group;
  readonly #settings: BalancerSettings;
  #revision = -1;
  /** Of the pool that was chosen last: what else the call might use, beyond its level and zone. */
  beyond: readonly number[] = [];
  readonly #any: Placement;
  readonly #subsets = new Map<string, { readonly placement: Placement; readonly text: string }>();
  #byDefault: Placement | null = null;

  constructor(table: EndpointTable, group: Group, settings: BalancerSettings) {
    this.#table = table;
    this.#group = group;
    this.#settings = settings;
    this.#any = new Placement(table, settings);
  }

  /** The pool for a call; null when nothing is in it. `wanted`: the values that the call wants of `subset.match`, by their place. */
  choose(wanted: string, random: Random, now: number, pick: Pick): Choice | null {
    const revision = this.#table.revisionOf(this.#group.service);
    if (revision !== this.#revision) {
      this.#revision = revision;
      this.#build(random);
    }
    const placement = this.#placement(wanted, pick);
    if (placement === null) return null;
    this.beyond = placement.healthy;
    return placement.choose(random, now, pick);
  }

  #placement(wanted: string, pick: Pick): Placement | null {
    const { subset } = this.#settings;
    if (subset === null) return this.#any;
    const found = this.#subsets.get(wanted);
    if (found !== undefined) {
      pick.subset = found.text;
      return found.placement;
    }
    pick.subset = subsetText(subset.match, wanted);
    pick.subsetFallback = subset.fallback === "any" ? "all" : subset.fallback;
    if (subset.fallback === "any") return this.#any;
    return subset.fallback === "default" ? this.#byDefault : null;
  }

  #build(random: Random): void {
    const table = this.#table;
    const { version, service } = this.#group;
    const { subset } = this.#settings;
    let slots: number[] = [];
    for (const slot of table.slotsOf(service)) {
      const endpoint = table.endpoints[slot];
      if (endpoint === null || endpoint.health === "draining") continue;
      if (version === "" || endpoint.version === version) slots.push(slot);
    }
    slots = this.#own(slots, random);
    this.#any.set(slots);
    if (subset === null) return;
    const bySubset = new Map<string, number[]>();
    const byDefault: number[] = [];
    for (const slot of slots) {
      const endpoint = table.endpoints[slot] as Endpoint;
      const values = subset.match.map(({ key }) => valueFor(endpoint, key));
      if (values.every((value) => value !== undefined)) {
        const key = values.join(VALUE_END);
        const members = bySubset.get(key);
        if (members === undefined) bySubset.set(key, [slot]);
        else members.push(slot);
      }
      if (
        subset.fallback === "default" &&
        subset.byDefault.every(({ key, value }) => valueFor(endpoint, key) === value)
      )
        byDefault.push(slot);
    }
    for (const key of this.#subsets.keys()) if (!bySubset.has(key)) this.#subsets.delete(key);
    for (const [key, members] of bySubset) {
      let known = this.#subsets.get(key);
      if (known === undefined) {
        known = { placement: new Placement(table, this.#settings), text: subsetText(subset.match, key) };
        this.#subsets.set(key, known);
      }
      known.placement.set(members);
    }
    if (subset.fallback === "default") {
      this.#byDefault ??= new Placement(table, this.#settings);
      this.#byDefault.set(byDefault);
    }
  }

  /** Those that this process uses. */
  #own(slots: number[], random: Random): number[] {
    const { subsetSize } = this.#settings;
    if (subsetSize === 0 || slots.length <= subsetSize) return slots;
    const { local } = this.#table;
    if (local.seed < 0) local.seed = Math.floor(random.next() * 0x1_0000_0000);
    const ranked = slots.map((slot) => ({
      slot,
      rank: hashNumber(hashText((this.#table.endpoints[slot] as Endpoint).id, 0), local.seed),
    }));
    ranked.sort((a, b) => a.rank - b.rank);
    return ranked.slice(0, subsetSize).map(({ slot }) => slot);
  }
}

/** Metadata, or what endpoints have as fields of their own. */
function valueFor(endpoint: Endpoint, key: string): string | undefined {
  if (key === "version") return endpoint.version;
  return key === "zone" ? endpoint.zone : endpoint.metadata[key];
}

function subsetText(match: readonly { readonly key: string }[], wanted: string): string {
  const values = wanted.split(VALUE_END);
  return match.map(({ key }, i) => `${key}=${values[i] ?? ""}`).join(" ");
}
