import { hash } from "node:crypto";
import type { GrayRelease, GraySelector, SettingsConsumer, SettingsNamespace, SettingValue } from "./settings-state.ts";

/** The values that count for those who have the same gray releases. */
export interface EffectiveValues {
  readonly values: Readonly<Record<string, SettingValue>>;
  /** Ids of the gray releases whose values are among them, oldest first. */
  readonly grays: readonly string[];
}

/** The gray releases that a consumer has, oldest first. */
export function graysOf({ grays }: SettingsNamespace, consumer: SettingsConsumer): readonly GrayRelease[] {
  return grays.length === 0 ? NONE : grays.filter((gray) => isSelected(gray.id, gray.to, consumer));
}

/** What everybody has, and over it what these gray releases of the namespace give, by key: of two for one key the later counts. */
export function withGrays({ values: base }: SettingsNamespace, grays: readonly GrayRelease[]): EffectiveValues {
  const values = new Map<string, SettingValue>();
  for (const [key, { value }] of Object.entries(base)) values.set(key, value);
  for (const { changes } of grays) {
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) values.delete(key);
      else values.set(key, value);
    }
  }
  const byKey = [...values].sort(([a], [b]) => (a < b ? -1 : 1));
  return { values: Object.fromEntries(byKey), grays: grays.map(({ id }) => id) };
}

/** Every part of the selector that is given holds. */
export function isSelected(id: string, to: GraySelector, { instance, zone, labels, tags }: SettingsConsumer): boolean {
  const { percent, instances, zones, labels: wanted, tags: wantedTags } = to;
  if (instances !== undefined && !instances.includes(instance)) return false;
  if (zones !== undefined && !zones.includes(zone)) return false;
  for (const [name, value] of Object.entries(wanted ?? {}))
    if (!Object.hasOwn(labels, name) || labels[name] !== value) return false;
  if (wantedTags !== undefined && !wantedTags.every((tag) => tags.has(tag))) return false;
  return percent === undefined || placeOf(id, instance) < percent;
}

/**
 * Where an instance stands in the order in which a gray release reaches instances, 0 (first) up to, not including, 100. Each gray release has an order of its own, so that
 * it is not always the same ones that have the new first; more percent keeps those that had it.
 */
function placeOf(id: string, instance: string): number {
  const digest = hash("sha256", `${id}\n${instance}`);
  return (Number.parseInt(digest.slice(0, 12), 16) / 2 ** 48) * 100;
}

const NONE: readonly GrayRelease[] = [];
