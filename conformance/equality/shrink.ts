import { isValid } from "./arbitrary.ts";
import type { EqualityCase } from "./model.ts";

/**
 * Makes a failing case smaller as long as it still fails: without requests, resources, and any element or field of what is left, the largest first. Every candidate
 * is valid. Ends when nothing more can go, or at `until` (ms of performance.now()).
 */
export async function shrink(
  failing: EqualityCase,
  stillFails: (candidate: EqualityCase) => Promise<boolean>,
  until: number,
): Promise<EqualityCase> {
  let best = failing;
  for (let smaller = true; smaller && performance.now() < until; ) {
    smaller = false;
    for (const path of removable(best)) {
      if (performance.now() >= until) break;
      const candidate = without(best, path);
      if (candidate === null || !isValid(candidate) || !(await stillFails(candidate).catch(no))) continue;
      best = candidate;
      smaller = true;
      break; // the paths are of another case now
    }
  }
  return best;
}

/** What cannot be run fails in another way. */
const no = (): boolean => false;

type Path = readonly (string | number)[];

/** Parts that might go, those that hold most first. */
function removable({ requests, resources }: EqualityCase): Path[] {
  const found: { path: Path; size: number }[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (typeof value !== "object" || value === null || WHOLE.has(String(path.at(-1)))) return;
    if (path[0] === "requests" && path.at(-2) === "headers") return; // name and value belong together
    const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
    for (const key of keys) {
      const inner = (value as Record<string | number, unknown>)[key];
      const at = [...path, key];
      if (!KEPT.has(String(key)) || (path[0] === "resources" && CONDITIONS.has(String(key))))
        found.push({ path: at, size: JSON.stringify(inner)?.length ?? 0 });
      visit(inner, at);
    }
  };
  visit(requests, ["requests"]);
  visit(resources, ["resources"]);
  return found.sort((a, b) => b.size - a.size).map(({ path }) => path);
}

/** Fields without which a case is not one. */
const KEPT: ReadonlySet<string> = new Set([
  ...["apiVersion", "kind", "metadata", "spec", "parentRefs", "per", "enforcedBy", "at", "jwks"],
  ...["method", "path", "host", "script", "headers", "do", "code", "trailersOnly", "messages", "status", "afterMs"],
]);

/** What is one thing. */
const WHOLE: ReadonlySet<string> = new Set(["parentRefs", "jwks", "at"]);

/** What those are called in resources, where they can go. */
const CONDITIONS: ReadonlySet<string> = new Set(["method", "path", "headers", "status"]);

function without(from: EqualityCase, path: Path): EqualityCase | null {
  const copy = structuredClone(from);
  let at = copy as unknown as Record<string | number, unknown>;
  for (const part of path.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
  const last = path[path.length - 1];
  if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete at[last];
  return copy.requests.length > 0 && copy.requests.every(({ script }) => script.length > 0) ? copy : null;
}
