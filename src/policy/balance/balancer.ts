import type { Random } from "../../core/random.ts";
import type { BalancerKind } from "../resource/resources.ts";
import type { EndpointTable, Group } from "./endpoint-table.ts";

export interface BalancerSettings {
  readonly kind: BalancerKind;
  /** p2c: how fast old latencies are forgotten. */
  readonly decayMs: number;
}

/** What a balancer looked at, kept by the attempt for explanations. One object an attempt, reused. */
export interface Pick {
  /** The slot compared with, -1 for none. */
  rival: number;
  ewmaMs: number;
  inFlight: number;
  rivalEwmaMs: number;
  rivalInFlight: number;
  candidates: number;
}

/**
 * Chooses an endpoint of `group`, or -1 when every one is at `maxInFlight`. In order of preference: endpoints in rotation that this call has
 * not tried (`avoid`), those in rotation, those put aside that it has not tried, any. So a call never goes back to an endpoint that failed it while
 * another is in rotation, and endpoints that were put aside are still better than none.
 *
 *     p2c                    the cheaper of two drawn at random by peak EWMA x in flight / weight (Finagle, Linkerd)
 *     round-robin            in turn, weights ignored
 *     random                 drawn by weight
 *     weighted-round-robin   in turn, by weight: gRPC's static stride scheduler (gRFC A58)
 */
export function pickEndpoint(
  table: EndpointTable,
  group: Group,
  settings: BalancerSettings,
  maxInFlight: number,
  avoid: readonly number[],
  random: Random,
  now: number,
  pick: Pick,
): number {
  const { slots } = group;
  const count = slots.length;
  pick.rival = -1;
  pick.candidates = count;
  if (count === 0) return -1;
  for (let tries = 0; tries < TRIES; tries++) {
    let slot: number;
    switch (settings.kind) {
      case "round-robin":
        slot = slots[group.cursor++ % count];
        break;
      case "random":
        slot = slots[weightedIndex(group, random)];
        break;
      case "weighted-round-robin":
        slot = slots[strideIndex(group)];
        break;
      default:
        slot = twoChoices(table, group, settings.decayMs, avoid, random, now, pick);
    }
    if (usable(table, slot, maxInFlight) && table.inRotation(slot, now) && !isIn(avoid, slot)) return slot;
    if (count === 1) break;
  }
  pick.rival = -1;
  return lastResort(table, slots, maxInFlight, avoid, random, now);
}

const TRIES = 4;

/** The list is nearly always empty, and then not worth a call. */
function isIn(avoid: readonly number[], slot: number): boolean {
  return avoid.length > 0 && avoid.includes(slot);
}

function usable(table: EndpointTable, slot: number, maxInFlight: number): boolean {
  return table.inFlight[slot] < maxInFlight;
}

function twoChoices(
  table: EndpointTable,
  group: Group,
  decayMs: number,
  avoid: readonly number[],
  random: Random,
  now: number,
  pick: Pick,
): number {
  const { slots } = group;
  const count = slots.length;
  pick.rival = -1;
  if (count === 1) return slots[0];
  const first = Math.floor(random.next() * count);
  let second = Math.floor(random.next() * (count - 1));
  if (second >= first) second++;
  let chosen = slots[first];
  let rival = slots[second];
  const chosenOut = !table.inRotation(chosen, now) || isIn(avoid, chosen);
  const rivalOut = !table.inRotation(rival, now) || isIn(avoid, rival);
  const swap = chosenOut !== rivalOut ? chosenOut : table.cost(rival, now, decayMs) < table.cost(chosen, now, decayMs);
  if (swap) {
    const loser = chosen;
    chosen = rival;
    rival = loser;
  }
  pick.rival = rival;
  pick.ewmaMs = table.ewmaMs[chosen];
  pick.inFlight = table.inFlight[chosen];
  pick.rivalEwmaMs = table.ewmaMs[rival];
  pick.rivalInFlight = table.inFlight[rival];
  return chosen;
}

/** By rejection, which is exact; after a few rejections by summing up, which is exact too and bounded. */
function weightedIndex(group: Group, random: Random): number {
  const count = group.slots.length;
  const max = group.maxWeight;
  for (let tries = 0; tries < TRIES; tries++) {
    const index = Math.floor(random.next() * count);
    const weight = group.weightAt(index);
    if (weight === max || random.next() * max < weight) return index;
  }
  let total = 0;
  for (let i = 0; i < count; i++) total += group.weightAt(i);
  let draw = random.next() * total;
  for (let i = 0; i < count - 1; i++) if ((draw -= group.weightAt(i)) < 0) return i;
  return count - 1;
}

/** Member i is due in round r when floor-wise accumulation of weight/max reaches a whole; the offsets spread the members over the rounds. */
function strideIndex(group: Group): number {
  const count = group.slots.length;
  const max = group.maxWeight;
  for (;;) {
    const sequence = group.cursor++;
    const index = sequence % count;
    const share = group.weightAt(index) / max;
    if (share >= 1 || !(max > 0)) return index;
    const position = (sequence - index) / count + 0.5 * index;
    if (Math.floor((position + 1) * share) > Math.floor(position * share)) return index;
  }
}

function lastResort(
  table: EndpointTable,
  slots: readonly number[],
  maxInFlight: number,
  avoid: readonly number[],
  random: Random,
  now: number,
): number {
  const count = slots.length;
  const start = Math.floor(random.next() * count);
  let best = -1;
  let bestRank = -1;
  for (let i = 0; i < count; i++) {
    const slot = slots[(start + i) % count];
    if (!usable(table, slot, maxInFlight)) continue;
    const fresh = !isIn(avoid, slot);
    const rank = table.inRotation(slot, now) ? (fresh ? 3 : 2) : fresh ? 1 : 0;
    if (rank > bestRank) {
      best = slot;
      bestRank = rank;
      if (rank === 3) break;
    }
  }
  return best;
}

/** Whether the group has an endpoint in rotation that is not in `avoid`. */
export function anotherInRotation(table: EndpointTable, group: Group, avoid: readonly number[], now: number): boolean {
  for (const slot of group.slots) if (!avoid.includes(slot) && table.inRotation(slot, now)) return true;
  return false;
}
