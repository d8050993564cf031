import type { Random } from "../../core/random.ts";
import type { BalancerSettings } from "./balancer-settings.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import type { Group } from "./group.ts";
import type { Pick } from "./pick.ts";

export type { BalancerSettings } from "./balancer-settings.ts";
export { Pick } from "./pick.ts";

/** Chooses an endpoint of `group` (picker.ts), or -1 when every one is at `maxInFlight`. What it looked at is left in `pick`. */
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
  return group.picker(table, settings).pick(maxInFlight, avoid, random, now, pick);
}

/** Whether the group has an endpoint in rotation that is not in `avoid`. */
export function anotherInRotation(table: EndpointTable, group: Group, avoid: readonly number[], now: number): boolean {
  for (const slot of group.slots) if (!avoid.includes(slot) && table.inRotation(slot, now)) return true;
  return false;
}
