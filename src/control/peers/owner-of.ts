import { createHash } from "node:crypto";

/**
 * Which of the control planes keeps what belongs to `key`: all that know the same ones say the same, and when one comes or goes only what it keeps moves. Source: rendezvous hashing (Thaler and
 * Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998). `ids` holds at least one.
 */
export function ownerOf(key: string, ids: readonly string[]): string {
  let owner = ids[0];
  let most = -1n;
  for (const id of ids.length > 1 ? ids : []) {
    const weight = createHash("sha256").update(id).update("\n").update(key).digest().readBigUInt64BE();
    if (weight > most || (weight === most && id < owner)) [owner, most] = [id, weight];
  }
  return owner;
}
