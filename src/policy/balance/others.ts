import { ms } from "../resource/duration.ts";
import type { EndpointTable } from "./endpoint-table.ts";
import type { Group } from "./group.ts";
import { isIn } from "./pick.ts";

/**
 * The endpoints that a call could not be sent to, and why: "products-3 unhealthy, products-4 put aside for 2.1 s". "" when all could be used. Made for calls that
 * somebody may ask about, not for all.
 */
export function othersText(
  table: EndpointTable,
  group: Group,
  chosen: number,
  maxInFlight: number,
  avoid: readonly number[],
  now: number,
): string {
  const parts: string[] = [];
  let more = 0;
  let looked = 0;
  for (const slot of table.slotsOf(group.service)) {
    const endpoint = table.endpoints[slot];
    if (endpoint === null || slot === chosen || (group.version !== "" && endpoint.version !== group.version)) continue;
    if (++looked > MAX_LOOKED) break;
    const why = whyNot(table, slot, endpoint.health, maxInFlight, avoid, now);
    if (why === "") continue;
    if (parts.length < MAX_NAMED) parts.push(`${endpoint.id} ${why}`);
    else more++;
  }
  if (more > 0) parts.push(`${more} more`);
  return parts.join(", ");
}

function whyNot(
  table: EndpointTable,
  slot: number,
  health: string,
  maxInFlight: number,
  avoid: readonly number[],
  now: number,
): string {
  if (health !== "healthy") return health;
  const aside = table.ejections[slot] === 0 ? 0 : table.ejectedUntil[slot] - now;
  const ejected = table.outlierUntil[slot] - now;
  if (ejected > 0 && ejected >= aside) return `ejected as an outlier for ${ms(ejected)} more`;
  if (aside > 0) return `put aside for ${ms(aside)} more`;
  if (isIn(avoid, slot)) return "tried before";
  return table.inFlight[slot] >= maxInFlight ? `full with ${table.inFlight[slot]} in flight` : "";
}

const MAX_NAMED = 4;
const MAX_LOOKED = 256;
