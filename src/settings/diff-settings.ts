import { canonicalJson } from "./json-value.ts";
import type { Json, SettingsNamespace, SettingsState } from "./settings-state.ts";

/** One thing that differs between two states. Undefined: it is not there. */
export interface SettingsDifference {
  readonly namespace: string;
  /** "orders/maxItems", "orders schema", "orders gray g-41" */
  readonly name: string;
  /** The key; "" of a schema or a gray release. */
  readonly key: string;
  readonly before: Json | undefined;
  readonly after: Json | undefined;
}

/** What differs, by namespace and key; who changed it when is no difference. */
export function diffSettings(before: SettingsState, after: SettingsState): SettingsDifference[] {
  const names = new Set([...Object.keys(before.namespaces), ...Object.keys(after.namespaces)]);
  return [...names].sort().flatMap((name) => {
    const was = own(before.namespaces, name);
    const is = own(after.namespaces, name);
    return was === is ? [] : diffNamespace(name, was, is);
  });
}

function diffNamespace(
  namespace: string,
  was: SettingsNamespace | undefined,
  is: SettingsNamespace | undefined,
): SettingsDifference[] {
  const found: SettingsDifference[] = [];
  const compare = (name: string, key: string, before: Json | undefined, after: Json | undefined): void => {
    if (before === undefined && after === undefined) return;
    if (before !== undefined && after !== undefined && canonicalJson(before) === canonicalJson(after)) return;
    found.push({ namespace, name, key, before, after });
  };
  const keys = new Set([...Object.keys(was?.values ?? {}), ...Object.keys(is?.values ?? {})]);
  for (const key of [...keys].sort())
    compare(
      `${namespace}/${key}`,
      key,
      own(was?.values, key)?.value as Json | undefined,
      own(is?.values, key)?.value as Json | undefined,
    );
  compare(
    `${namespace} schema`,
    "",
    (was?.schema ?? undefined) as Json | undefined,
    (is?.schema ?? undefined) as Json | undefined,
  );
  const grays = new Set([...(was?.grays ?? []), ...(is?.grays ?? [])].map(({ id }) => id));
  for (const id of grays) compare(`${namespace} gray ${id}`, "", grayOf(was, id), grayOf(is, id));
  return found;
}

function grayOf(namespace: SettingsNamespace | undefined, id: string): Json | undefined {
  const gray = namespace?.grays.find((one) => one.id === id);
  return gray === undefined ? undefined : ({ changes: gray.changes, to: gray.to } as unknown as Json);
}

function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}
