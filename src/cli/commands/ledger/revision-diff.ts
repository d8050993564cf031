import { isDeepStrictEqual } from "node:util";
import { diffSettings } from "../../../settings/diff-settings.ts";
import { isSealed } from "../../../settings/json-value.ts";
import { keyIdOf } from "../../../settings/sealed.ts";
import type { SettingsState } from "../../../settings/settings-state.ts";

/** What differs between two revisions. */
export interface RevisionDiff {
  readonly resources: readonly ResourceDifference[];
  /** `name`: "orders/maxItems", "orders schema", "orders gray g-41". */
  readonly settings: readonly FieldDifference[];
}

export interface ResourceDifference {
  /** "HTTPRoute shop" */
  readonly name: string;
  readonly change: "added" | "removed" | "changed";
  /** Of one that is there in both. */
  readonly fields: readonly FieldDifference[];
}

export interface FieldDifference {
  /** "spec.rules[0].timeouts.request" */
  readonly name: string;
  /** Left out: it is not there. Sealed values without what is in them. */
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface DiffedRevision {
  /** A JSON array. */
  readonly resources: string;
  readonly settings: SettingsState;
}

/** Resources are the same by kind and name, items of lists that have names by these, other items by their place. */
export function diffRevisions(before: DiffedRevision, after: DiffedRevision): RevisionDiff {
  const [was, is] = [byName(before.resources), byName(after.resources)];
  const resources: ResourceDifference[] = [];
  for (const name of [...new Set([...was.keys(), ...is.keys()])].sort()) {
    const [one, other] = [was.get(name), is.get(name)];
    if (one === undefined) resources.push({ name, change: "added", fields: [] });
    else if (other === undefined) resources.push({ name, change: "removed", fields: [] });
    else {
      const fields = [...differences("", one, other)];
      if (fields.length > 0) resources.push({ name, change: "changed", fields });
    }
  }
  const settings = diffSettings(before.settings, after.settings).map(({ name, before: one, after: other }) => {
    const masked = fieldOf(name, masking(one), masking(other));
    // Another seal of what may be the same: it is said to be another one.
    return isSealed(one) && isSealed(other) ? { ...masked, after: `${String(masked.after)}, changed` } : masked;
  });
  return { resources, settings };
}

function byName(text: string): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const resource of JSON.parse(text || "[]") as {
    kind?: string;
    metadata?: { name?: string; namespace?: string };
  }[]) {
    const { name = "", namespace = "" } = resource.metadata ?? {};
    const base = `${resource.kind ?? "resource"} ${namespace === "" ? name : `${namespace}/${name}`}`;
    let unique = base;
    for (let n = 2; found.has(unique); n++) unique = `${base} (${n})`;
    found.set(unique, resource);
  }
  return found;
}

function* differences(path: string, before: unknown, after: unknown): Generator<FieldDifference> {
  if (isDeepStrictEqual(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after)) {
    const [was, is] = [itemsOf(before), itemsOf(after)];
    for (const key of new Set([...was.keys(), ...is.keys()]))
      yield* differences(`${path}[${key}]`, was.get(key), is.get(key));
  } else if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
      yield* differences(path === "" ? key : `${path}.${key}`, before[key], after[key]);
  } else yield fieldOf(path, before, after);
}

function itemsOf(items: readonly unknown[]): Map<string, unknown> {
  const names = items.map((item) => (isObject(item) && typeof item.name === "string" ? item.name : null));
  const named = names.every((name) => name !== null) && new Set(names).size === names.length;
  return new Map(items.map((item, index) => [named ? String(names[index]) : String(index), item]));
}

function fieldOf(name: string, before: unknown, after: unknown): FieldDifference {
  return { name, ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
}

/** Which key sealed it is all that is shown of a sealed value. */
function masking(value: unknown): unknown {
  if (isSealed(value as Parameters<typeof isSealed>[0]))
    return `(sealed by ${keyIdOf(value as Parameters<typeof keyIdOf>[0])})`;
  if (Array.isArray(value)) return value.map(masking);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, masking(one)]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
