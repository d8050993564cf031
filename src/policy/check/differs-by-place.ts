import type { CheckedSystem } from "./checked-system.ts";
import { DIVERGENCES, type Divergence } from "./divergences.ts";
import { type Finding, finding } from "./finding.ts";

/**
 * Listed divergences that the resources run into: those of the data plane that was named. Where none was, nobody asked, and nothing is said but in a strict
 * check, which tells how weft's own places differ.
 */
export function placesThatDiffer({ resources, placeOf, dataPlane, strict }: CheckedSystem): Finding[] {
  const concerns = ({ places }: Divergence): boolean =>
    dataPlane === null ? strict && places.some((place) => OWN.has(place)) : places.includes(dataPlane);
  return DIVERGENCES.filter(concerns).flatMap(({ id, what, reason, appliesTo }) => {
    const message = `${what} (${id})`;
    // Of no resource in particular: said once, behind all that have a place.
    if (appliesTo === null) return resources.length === 0 ? [] : [finding("differs-by-place", {}, message, reason)];
    return resources.flatMap((resource) =>
      appliesTo(resource).map((path) => finding("differs-by-place", placeOf(resource, path), message, reason)),
    );
  });
}

const OWN: ReadonlySet<string> = new Set(["client", "sidecar", "gateway", "server"]);
