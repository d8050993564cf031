import type { Resource } from "../resource/resources.ts";
import type { ParsedResources, Problem } from "../resource/validate.ts";
import { type DataPlane, type NotEnforced, notEnforced } from "./enforcement.ts";

/**
 * What is said when resources are put in force: what is doubtful about them, what nothing that is there enforces, and what those data planes leave out that are
 * not weft's own, so that nothing is dropped in silence. `planes`: what is there. `most`: so many are told with their places, the others are counted.
 */
export function publishWarnings(
  { resources, warnings, placeOf }: ParsedResources,
  planes: readonly DataPlane[],
  most = Number.POSITIVE_INFINITY,
): PublishWarnings {
  const told = warnings.slice(0, most);
  let more = warnings.length - told.length;
  for (const resource of resources) {
    for (const { path, field, why, by } of leftOut(resource, planes)) {
      if (told.length >= most) more++;
      else
        told.push({
          place: placeOf(resource, path),
          message:
            by === null
              ? `${field} is enforced by nothing that is there (${planes.join(", ")}): ${why}`
              : `${field} is not enforced by ${NAMES[by]}, which is there: ${why}`,
        });
    }
  }
  return { told, more };
}

export interface PublishWarnings {
  readonly told: readonly Problem[];
  readonly more: number;
}

/** The same for the same resource, which never changes: a revision takes most of them from the one before. */
function leftOut(resource: Resource, planes: readonly DataPlane[]): readonly LeftOut[] {
  const key = planes.join();
  const before = FOUND.get(resource);
  if (before?.key === key) return before.found;
  const nowhere = enforcedNowhere(resource, planes);
  const found = nowhere.map((one): LeftOut => ({ ...one, by: null }));
  for (const plane of planes) {
    if (!isForeign(plane)) continue;
    const own = notEnforced(resource, plane).filter(({ path }) => !nowhere.some((other) => isWithin(path, other.path)));
    found.push(...own.map((one): LeftOut => ({ ...one, by: plane })));
  }
  FOUND.set(resource, { key, found });
  return found;
}

interface LeftOut extends NotEnforced {
  /** Null: by all that are there. */
  readonly by: Foreign | null;
}

type Foreign = keyof typeof NAMES;
const NAMES = { envoy: "Envoy", "grpc-xds": "gRPC's own client" } as const;

function isForeign(plane: DataPlane): plane is Foreign {
  return plane in NAMES;
}

const FOUND = new WeakMap<Resource, { readonly key: string; readonly found: readonly LeftOut[] }>();

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
