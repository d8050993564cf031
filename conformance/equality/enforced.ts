import { type DataPlane, notEnforced } from "../../src/policy/check/enforcement.ts";
import type { Resource } from "../../src/policy/resource/resources.ts";
import { inspectResources } from "../../src/policy/resource/validate.ts";

/**
 * The resources without what the table of enforcement says that a place leaves out: what another place must be told to do the same. Null when what is left is not
 * well formed, so that there is nothing to compare with.
 */
export function asEnforced(resources: readonly Resource[], planes: readonly DataPlane[]): Resource[] | null {
  let left: readonly Resource[] | null = resources;
  for (const plane of planes) left = left === null ? null : withoutUnenforced(left, plane);
  return left === null ? null : [...left];
}

function withoutUnenforced(resources: readonly Resource[], plane: DataPlane): Resource[] | null {
  const kept: Resource[] = [];
  for (const resource of resources) {
    const copy = structuredClone(resource) as Resource & { spec: object };
    // Later elements of a list first, so that the places of the others stay.
    const paths = notEnforced(resource, plane).map(({ path }) => path);
    if (paths.some((path) => path.length === 1 || path.at(-1) === "enforcedBy")) continue;
    for (const path of paths.reverse()) takeOut(copy, path);
    const { targetRefs, ...rest } = copy.spec as Record<string, unknown>;
    if (Object.keys(rest).length > 0) kept.push(copy);
  }
  return inspectResources(kept).errors.length === 0 ? kept : null;
}

function takeOut(value: unknown, path: readonly (string | number)[]): void {
  // A row of a value ("filters.type=CORS") is about the whole element.
  const whole = path.at(-1) === "type" && typeof path.at(-2) === "number" ? path.slice(0, -1) : path;
  let at = value as Record<string | number, unknown>;
  for (const part of whole.slice(0, -1)) {
    at = at?.[part] as Record<string | number, unknown>;
    if (typeof at !== "object" || at === null) return;
  }
  const last = whole[whole.length - 1];
  if (Array.isArray(at)) at.splice(Number(last), 1);
  // Left out it would be p95, and failures would make hedges, too: who has no such ones makes none.
  else if (last === "after" && path.at(-2) === "hedge") Object.assign(at, { after: "1h", ratio: 0 });
  else delete at[last];
}
