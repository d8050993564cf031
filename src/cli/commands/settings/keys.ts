import { isSealed } from "../../../settings/json-value.ts";
import { keyIdOf, newSettingsKey, type SettingsKeys } from "../../../settings/sealed.ts";
import type { SettingValue } from "../../../settings/settings-state.ts";
import { EXIT, usage } from "../../exit-status.ts";
import type { Terminal } from "../../terminal.ts";
import { type Change, type ChangeFlags, keysNeeded, withCentre } from "./centre.ts";
import { setting } from "./settings.ts";

/** `weft settings keys new [ID]`: prints the key and nothing else. */
export function newKey(id: string | undefined, terminal: Terminal): number {
  const name = id ?? `k${new Date().toISOString().slice(0, 10).replaceAll("-", "")}`;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
    throw usage(`"${name.slice(0, 64)}": a key's id is letters, digits, _ and -`);
  terminal.out(`${newSettingsKey(name)}\n`);
  return EXIT.ok;
}

/** `weft settings reseal [NAMESPACE]`: after a new key was put in front of the others. */
export function reseal(namespace: string | undefined, flags: ChangeFlags, terminal: Terminal): Promise<number> {
  const keys = keysNeeded("weft settings reseal");
  return withCentre(flags, terminal, async ({ read, publish }) => {
    const { state, revision } = await read(namespace);
    const changes: Change[] = [];
    let sealed = 0;
    for (const [name, { values, grays }] of Object.entries(state.namespaces)) {
      for (const [key, { value, revision: changed }] of Object.entries(values)) {
        if (isSealed(value)) sealed++;
        const again = resealed(name, key, value, keys);
        if (again !== null) changes.push(setting(name, key, again, changed));
      }
      for (const { id, changes: given } of grays) {
        const others: [string, string][] = [];
        for (const [key, value] of Object.entries(given)) {
          if (value !== null && isSealed(value)) sealed++;
          const again = value === null ? null : resealed(name, key, value, keys);
          if (again !== null) others.push([key, JSON.stringify(again)]);
        }
        if (others.length > 0)
          changes.push({
            namespace: name,
            change: { case: "widenGray", value: { id, values: Object.fromEntries(others) } },
          });
      }
    }
    if (changes.length > 0)
      return publish(changes, flags, `weft settings reseal by ${keys.first}`, flags.ifRevision ?? revision);
    const what = sealed === 0 ? "nothing is sealed" : `all ${sealed} sealed values are sealed by ${keys.first} already`;
    terminal.out(flags.json ? `${JSON.stringify({ revision, changed: false })}\n` : `${what}\n`);
    return EXIT.ok;
  });
}

/** Null: it is sealed by the first key, or not at all. */
function resealed(namespace: string, key: string, value: SettingValue, keys: SettingsKeys): SettingValue | null {
  if (!isSealed(value) || keyIdOf(value) === keys.first) return null;
  return keys.seal(namespace, key, keys.unseal(namespace, key, value));
}
