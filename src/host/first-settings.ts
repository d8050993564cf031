import { valueProblem } from "../settings/json-value.ts";
import { keyProblem, namespaceProblem, settingsLimits } from "../settings/settings-limits.ts";
import type { SettingValue } from "../settings/settings-state.ts";
import type { DescriptionReader } from "./description-reader.ts";
import type { FieldPath } from "./problems.ts";

/** By namespace and key: what a setting is when a system starts and nobody has set it. */
export type FirstSettings = Readonly<Record<string, Readonly<Record<string, SettingValue>>>>;

/** Reads `settings` of a description; what cannot be one is a problem, with its place. */
export function readFirstSettings(reader: DescriptionReader, value: unknown): FirstSettings {
  const namespaces: [string, Readonly<Record<string, SettingValue>>][] = [];
  const fields = value === undefined ? {} : (reader.object(value, ["settings"]) ?? {});
  for (const [namespace, given] of Object.entries(fields)) {
    const path: FieldPath = ["settings", namespace];
    if (namespaceProblem(namespace) !== "") reader.problems.add(path, namespaceProblem(namespace));
    const values: [string, SettingValue][] = [];
    for (const [key, one] of Object.entries(reader.object(given, path) ?? {})) {
      // Undefined is what a builder leaves out.
      if (one === undefined) continue;
      const problem = keyProblem(key) || valueProblem(one, settingsLimits.maxDepth);
      if (problem !== "") reader.problems.add([...path, key], problem);
      else values.push([key, one as SettingValue]);
    }
    namespaces.push([namespace, Object.fromEntries(values)]);
  }
  return Object.fromEntries(namespaces);
}
