import type { Endpoint } from "../../core/endpoint.ts";
import type { Random } from "../../core/random.ts";
import type { BalancerSettings } from "./balancer-settings.ts";
import { Choice } from "./choice.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import { hashNumber } from "./hash.ts";
import { type LevelLoads, levelLoads } from "./level-loads.ts";
import type { Pick } from "./pick.ts";
import { MemberPool } from "./pool.ts";
import { NO_ZONES, type ZoneShares, zoneShares } from "./zone-shares.ts";

/**
 * The endpoints of a group (or of one of its subsets) by priority level and zone, and which of these pools a call chooses from.
 *
 *     members -> levels (metadata, or zone by zone) -> share of each by health, overprovisioning, panic   level-loads.ts
 *             -> in the level drawn: its zones, by where callers and endpoints are                       zone-shares.ts
 *
 * Members are given whole when the service changed; how many are healthy is counted again every COUNT_MS, since endpoints come back from being put aside
 * with time alone. Pools that keep their members keep their balancer's state.
 */
export class Placement {
  readonly #table: EndpointTable;
  readonly #settings: BalancerSettings;
  /** Healthy members, of whatever level and zone. */
  healthy: readonly number[] = [];
  #levels: Level[] = [];
  #loads: LevelLoads = levelLoads([], [], 1, 0);
  #countAt = Number.NEGATIVE_INFINITY;

  constructor(table: EndpointTable, settings: BalancerSettings) {
    this.#table = table;
    this.#settings = settings;
  }

  /** The endpoints, healthy or not. */
  set(slots: readonly number[]): void {
    const byLevel = new Map<number, number[]>();
    for (const slot of slots) {
      const level = this.#levelOf(this.#table.endpoints[slot] as Endpoint);
      const members = byLevel.get(level);
      if (members === undefined) byLevel.set(level, [slot]);
      else members.push(slot);
    }
    const keys = [...byLevel.keys()].sort((a, b) => a - b);
    const before = this.#levels;
    this.#levels = keys.map((key) => {
      const level = before.find((known) => known.key === key) ?? new Level(this.#table, this.#settings, key);
      level.set(byLevel.get(key) as number[]);
      return level;
    });
    this.#countAt = Number.NEGATIVE_INFINITY;
    this.healthy = slots.filter((slot) => this.#table.endpoints[slot]?.health === "healthy");
  }

  /** The pool for a call; null when there is no endpoint at all. */
  choose(random: Random, now: number, pick: Pick): Choice | null {
    if (this.#levels.length === 0) return null;
    if (now >= this.#countAt) this.#count(now);
    const { share, panic } = this.#loads;
    let at = 0;
    if (share.length > 1 && share[0] < 100) {
      // As in Envoy, the hash chooses the level, too, so that a key stays with it.
      let draw = (pick.hash >= 0 ? hashNumber(pick.hash, 1) / 0x1_0000_0000 : random.next()) * 100;
      for (let i = 0; i < share.length; i++) {
        if (share[i] === 0) continue;
        at = i;
        if ((draw -= share[i]) < 0) break;
      }
    }
    pick.level = at;
    pick.levels = share.length;
    pick.levelShare = share[at];
    pick.panic = panic[at] === 1;
    const level = this.#levels[at];
    return pick.panic ? level.everyone : level.choose(random, pick);
  }

  #count(now: number): void {
    this.#countAt = now + COUNT_MS;
    for (const level of this.#levels) level.count(now);
    const { overprovisioning, panicThreshold } = this.#settings;
    this.#loads = levelLoads(
      this.#levels.map(({ healthy }) => healthy),
      this.#levels.map(({ total }) => total),
      overprovisioning,
      panicThreshold,
    );
  }

  /** Priority from metadata first; within it, with failover, the own zone, the zones in their order, the others. */
  #levelOf({ metadata, zone }: Endpoint): number {
    const { priorityFrom, zones, zoneOrder } = this.#settings;
    let level = 0;
    if (priorityFrom !== "") {
      const priority = Number(metadata[priorityFrom] ?? 0);
      level = Number.isInteger(priority) && priority >= 0 ? Math.min(priority, MAX_PRIORITY) : MAX_PRIORITY;
    }
    if (zones !== "failover") return level * ZONES;
    const { local } = this.#table;
    if (local.zone !== "" && zone === local.zone) return level * ZONES;
    const at = zoneOrder.indexOf(zone);
    return level * ZONES + 1 + (at < 0 ? zoneOrder.length : at);
  }
}

/** One priority level. */
class Level {
  readonly key: number;
  /** Endpoints in rotation, and all. */
  healthy = 0;
  total = 0;
  /** All its endpoints, healthy or not. */
  readonly everyone: Choice;
  readonly #everyone: MemberPool;
  readonly #table: EndpointTable;
  readonly #settings: BalancerSettings;
  readonly #all: MemberPool;
  readonly #choice: Choice;
  readonly #zones = new Map<string, { readonly pool: MemberPool; readonly choice: Choice }>();
  #shares: ZoneShares = NO_ZONES;

  constructor(table: EndpointTable, settings: BalancerSettings, key: number) {
    this.key = key;
    this.#table = table;
    this.#settings = settings;
    this.#all = new MemberPool(table);
    this.#choice = new Choice(table, this.#all, settings);
    this.#everyone = new MemberPool(table);
    this.everyone = new Choice(table, this.#everyone, settings);
  }

  set(slots: readonly number[]): void {
    const { endpoints } = this.#table;
    this.total = slots.length;
    const healthy = slots.filter((slot) => endpoints[slot]?.health === "healthy");
    this.#everyone.set(slots);
    this.#all.set(healthy);
    if (this.#settings.zones !== "aware") return;
    const byZone = new Map<string, number[]>();
    for (const slot of healthy) {
      const { zone } = endpoints[slot] as Endpoint;
      const members = byZone.get(zone);
      if (members === undefined) byZone.set(zone, [slot]);
      else members.push(slot);
    }
    for (const zone of this.#zones.keys()) if (!byZone.has(zone)) this.#zones.delete(zone);
    for (const [zone, members] of byZone) {
      let known = this.#zones.get(zone);
      if (known === undefined) {
        const pool = new MemberPool(this.#table);
        this.#zones.set(zone, (known = { pool, choice: new Choice(this.#table, pool, this.#settings) }));
      }
      known.pool.set(members);
    }
  }

  count(now: number): void {
    this.healthy = countInRotation(this.#table, this.#all.slots, now);
    if (this.#settings.zones !== "aware") return;
    const endpoints = new Map<string, number>();
    for (const [zone, { pool }] of this.#zones) {
      const count = countInRotation(this.#table, pool.slots, now);
      if (count > 0) endpoints.set(zone, count);
    }
    this.#shares = zoneShares(
      this.#table.local.zone,
      endpoints,
      this.#table.zonesOf(this.#table.local.service),
      this.#settings.minEndpoints,
    );
  }

  choose(random: Random, pick: Pick): Choice {
    const { local, byZone } = this.#shares;
    if (local < 0) return this.#choice;
    pick.localShare = local;
    let draw = local >= 100 ? -1 : (pick.hash >= 0 ? hashNumber(pick.hash, 2) / 0x1_0000_0000 : random.next()) * 100;
    for (const [zone, share] of byZone) {
      pick.zone = zone;
      if ((draw -= share) < 0) break;
    }
    return this.#zones.get(pick.zone)?.choice ?? this.#choice;
  }
}

function countInRotation(table: EndpointTable, slots: readonly number[], now: number): number {
  let count = 0;
  for (const slot of slots) if (table.inRotation(slot, now)) count++;
  return count;
}

const COUNT_MS = 100;
/** Envoy's limit for priorities. */
const MAX_PRIORITY = 127;
const ZONES = 1_024;
