import type { CheckedSystem } from "./checked-system.ts";
import { notEnforced } from "./enforcement.ts";
import { type Finding, finding } from "./finding.ts";

/** Fields that the named data plane would not enforce. */
export function unenforcedFields({ resources, placeOf, dataPlane }: CheckedSystem): Finding[] {
  if (dataPlane === null) return [];
  return resources.flatMap((resource) =>
    notEnforced(resource, dataPlane).map(({ path, field, why }) =>
      finding("not-enforced", placeOf(resource, path), `${field} is not enforced by ${dataPlane}`, why),
    ),
  );
}
