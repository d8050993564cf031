import { isDeepStrictEqual } from "node:util";
import type { Resource } from "../policy/resource/resources.ts";
import type { SettingEntry, SettingsNamespace, SettingsState } from "../settings/settings-state.ts";
import type { CurrentResources } from "./ledger-revision.ts";

export interface LedgerContents extends CurrentResources {
  readonly settings: SettingsState;
}

/** What a revision changed, for people: "HTTPRoute shop", "settings orders/maxItems". At most 50; the last then says how many more. */
export function changesOf(before: LedgerContents, after: LedgerContents): string[] {
  const changes = new Set<string>();
  for (const [one, other] of [
    [before, after],
    [after, before],
  ]) {
    const there = new Set(other.texts);
    for (const [index, text] of one.texts.entries()) if (!there.has(text)) changes.add(nameOf(one.resources[index]));
  }
  for (const change of settingsChanges(before.settings, after.settings)) changes.add(change);
  const sorted = [...changes].sort();
  if (sorted.length <= MAX_CHANGES) return sorted;
  return [...sorted.slice(0, MAX_CHANGES - 1), `and ${sorted.length - MAX_CHANGES + 1} more`];
}

/** `target` as the state after `current`: what differs counts as changed now, by whoever goes back. */
export function carriedSettings(
  current: SettingsState,
  target: SettingsState,
  now: { readonly revision: number; readonly author: string; readonly atMs: number },
): SettingsState {
  const namespaces: Record<string, SettingsNamespace> = {};
  for (const [name, wanted] of Object.entries(target.namespaces)) {
    const there: SettingsNamespace | undefined = current.namespaces[name];
    const values: Record<string, SettingEntry> = {};
    for (const [key, entry] of Object.entries(wanted.values)) {
      const known: SettingEntry | undefined = there?.values[key];
      const same = known !== undefined && isDeepStrictEqual(known.value, entry.value);
      values[key] = same ? known : { ...entry, ...now };
    }
    const made = { ...wanted, values };
    const same = there !== undefined && isDeepStrictEqual({ ...made, revision: there.revision }, { ...there });
    namespaces[name] = { ...made, revision: same ? there.revision : now.revision };
  }
  return { namespaces };
}

function* settingsChanges(before: SettingsState, after: SettingsState): Generator<string> {
  for (const name of new Set([...Object.keys(before.namespaces), ...Object.keys(after.namespaces)])) {
    const one: Partial<SettingsNamespace> = before.namespaces[name] ?? {};
    const other: Partial<SettingsNamespace> = after.namespaces[name] ?? {};
    if (one === other) continue;
    for (const key of new Set([...Object.keys(one.values ?? {}), ...Object.keys(other.values ?? {})])) {
      if (!isDeepStrictEqual(one.values?.[key]?.value, other.values?.[key]?.value)) yield `settings ${name}/${key}`;
    }
    if (!isDeepStrictEqual(one.schema ?? null, other.schema ?? null)) yield `schema of settings ${name}`;
    const grays = (namespace: Partial<SettingsNamespace>) =>
      new Map((namespace.grays ?? []).map((gray) => [gray.id, gray]));
    const [began, now] = [grays(one), grays(other)];
    for (const id of new Set([...began.keys(), ...now.keys()]))
      if (!isDeepStrictEqual(began.get(id), now.get(id))) yield `gray release ${id} of settings ${name}`;
  }
}

function nameOf(resource: Resource): string {
  const { kind, metadata } = resource as { kind?: string; metadata?: { name?: string; namespace?: string } };
  const { name = "", namespace = "" } = metadata ?? {};
  return `${kind ?? "resource"} ${namespace === "" ? name : `${namespace}/${name}`}`;
}

const MAX_CHANGES = 50;
