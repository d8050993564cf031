import type { Resource } from "../resource/resources.ts";
import type { ParsedResources, Problem } from "../resource/validate.ts";
import { type DataPlane, type NotEnforced, notEnforced } from "./enforcement.ts";

/** What is said when resources are put in force: what is doubtful about them, and what nothing that is there enforces. `planes`: what is there. */
export function publishWarnings(
  { resources, warnings, placeOf }: ParsedResources,
  planes: readonly DataPlane[],
): Problem[] {
  const unenforced = resources.flatMap((resource) =>
    enforcedNowhereOf(resource, planes).map(({ path, field, why }) => ({
      place: placeOf(resource, path),
      message: `${field} is enforced by nothing that is there (${planes.join(", ")}): ${why}`,
    })),
  );
  return [...warnings, ...unenforced];
}

/** The same for the same resource, which never changes: a revision takes most of them from the one before. */
function enforcedNowhereOf(resource: Resource, planes: readonly DataPlane[]): NotEnforced[] {
  const key = planes.join();
  const before = FOUND.get(resource);
  if (before?.key === key) return before.found;
  const found = enforcedNowhere(resource, planes);
  FOUND.set(resource, { key, found });
  return found;
}

const FOUND = new WeakMap<Resource, { readonly key: string; readonly found: NotEnforced[] }>();

/** Fields that none of these places enforces, the outermost of each. */
function enforcedNowhere(resource: Resource, planes: readonly DataPlane[]): NotEnforced[] {
  if (planes.length === 0) return [];
  const missing = planes.map((plane) => notEnforced(resource, plane));
  const nowhere = missing
    .flat()
    .filter(({ path }) => missing.every((ofPlane) => ofPlane.some((other) => isWithin(path, other.path))))
    .sort((a, b) => a.path.length - b.path.length);
  return nowhere.filter(({ path }, i) => !nowhere.slice(0, i).some((outer) => isWithin(path, outer.path)));
}

function isWithin(path: NotEnforced["path"], outer: NotEnforced["path"]): boolean {
  return outer.every((part, i) => path[i] === part);
}
