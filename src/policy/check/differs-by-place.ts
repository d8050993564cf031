import type { CheckedSystem } from "./checked-system.ts";
import { DIVERGENCES } from "./divergences.ts";
import { type Finding, finding } from "./finding.ts";

/** Listed divergences that the resources run into: of the named data plane, or else among weft's own places. */
export function placesThatDiffer({ resources, placeOf, dataPlane }: CheckedSystem): Finding[] {
  const found: Finding[] = [];
  for (const { id, places, what, reason, appliesTo } of DIVERGENCES) {
    if (dataPlane === null ? !places.some((place) => OWN.has(place)) : !places.includes(dataPlane)) continue;
    const message = `${what} (${id})`;
    if (appliesTo === null) {
      if (dataPlane !== null) found.push(finding("differs-by-place", {}, message, reason));
      continue;
    }
    for (const resource of resources)
      for (const path of appliesTo(resource))
        found.push(finding("differs-by-place", placeOf(resource, path), message, reason));
  }
  return found;
}

const OWN: ReadonlySet<string> = new Set(["client", "sidecar", "gateway", "server"]);
