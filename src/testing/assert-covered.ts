import { AssertionError } from "node:assert";
import { readFileSync } from "node:fs";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import type { ResourceDocument } from "../policy/resource/resource-document.ts";
import type { Coverage, CoveredRule } from "./coverage.ts";
import type { World } from "./types.ts";

export interface CoverageOptions {
  /** Rules that need not be exercised, by id; "*" at the end stands for anything: "TrafficPolicy/payments#breaker acts", "HTTPRoute/admin*". */
  readonly except?: readonly string[];
}

/** What several worlds exercised together. A rule counts as exercised when one of them did. */
export function coverage(worlds: World | readonly World[]): Coverage {
  const all = (Array.isArray(worlds) ? (worlds as readonly World[]) : [worlds as World]).map((world) =>
    world.coverage(),
  );
  const exercised = new Map<string, CoveredRule>();
  const never = new Map<string, CoveredRule>();
  for (const one of all) for (const rule of one.exercised) exercised.set(rule.id, rule);
  for (const one of all) for (const rule of one.never) if (!exercised.has(rule.id)) never.set(rule.id, rule);
  return { exercised: [...exercised.values()], never: [...never.values()] };
}

/** Throws an AssertionError that lists the rules which no call of these worlds has exercised, with their places. */
export function assertCovered(worlds: World | readonly World[], { except = [] }: CoverageOptions = {}): void {
  const { exercised, never } = coverage(worlds);
  const known = new Set([...exercised, ...never].map(({ id }) => id));
  const excepted = (id: string): boolean =>
    except.some((given) => (given.endsWith("*") ? id.startsWith(given.slice(0, -1)) : id === given));
  const missing = never.filter(({ id }) => !excepted(id));
  const unknown = except.filter((given) => !given.endsWith("*") && !known.has(given));
  if (missing.length === 0 && unknown.length === 0) return;
  const lines = missing.map(({ id, file, line }) => `  ${id}${file === undefined ? "" : `   ${file}:${line ?? 1}`}`);
  const total = exercised.length + never.length;
  const title = `${missing.length} of ${total} rules were never exercised:`;
  const strange = unknown.map((given) => `  "${given}" in \`except\` is no rule of these resources`);
  throw new AssertionError({
    message: [...(missing.length > 0 ? [title, ...lines] : []), ...strange].join("\n"),
    actual: missing.map(({ id }) => id),
    expected: [],
    operator: "assertCovered",
    stackStartFn: assertCovered,
  });
}

/** The resources of a YAML or JSON file, for a simulated system's `resources`; coverage names their lines. Throws `invalid_argument` for what is no YAML. */
export function readResources(file: string): ResourceDocument[] {
  return readResourceDocuments(readFileSync(file, "utf8"), file);
}
