import { WeftError } from "../../../core/errors.ts";
import { didYouMean } from "../../../core/suggest.ts";
import { isSealed } from "../../../settings/json-value.ts";
import type { SettingsKeys } from "../../../settings/sealed.ts";
import type { GraySelector, SettingsNamespace, SettingsState, SettingValue } from "../../../settings/settings-state.ts";
import { formatColumns } from "../../columns.ts";
import { EXIT, usage } from "../../exit-status.ts";
import { jsonOf } from "../../json-of.ts";
import { sanitize, type Terminal } from "../../terminal.ts";
import type { LedgerFlags } from "../ledger/ledger-line.ts";
import {
  assignments,
  type Change,
  type ChangeFlags,
  type Held,
  keysNeeded,
  minuteOf,
  namespaceOf,
  placeOf,
  shown,
  withCentre,
} from "./centre.ts";

/** `weft settings get [NAMESPACE[/KEY]]` */
export function get(
  place: string | undefined,
  flags: LedgerFlags & { revision?: string; reveal: boolean },
  terminal: Terminal,
): Promise<number> {
  const keys = flags.reveal ? keysNeeded("--reveal") : null;
  const { namespace, key } = placeOf(place ?? "");
  return withCentre(flags, terminal, async ({ read, find }) => {
    const held = await read(namespace, flags.revision === undefined ? 0 : await find(flags.revision));
    const state = keys === null ? held.state : revealed(held.state, keys);
    if (key !== "") {
      terminal.out(`${JSON.stringify(valueAt(state, namespace, key))}\n`);
    } else if (flags.json) {
      terminal.out(jsonOf({ revision: held.revision, ...state, consumers: held.consumers }));
    } else if (namespace === "") printNamespaces({ ...held, state }, terminal);
    else printNamespace(namespace, { ...held, state }, terminal);
    return EXIT.ok;
  });
}

/** `weft settings set NAMESPACE KEY=VALUE...` */
export function set(
  namespace: string,
  texts: readonly string[],
  flags: ChangeFlags & { seal: boolean; if?: readonly string[] },
  terminal: Terminal,
): Promise<number> {
  const keys = flags.seal ? keysNeeded("--seal") : null;
  const expected = new Map((flags.if ?? []).map(expectation));
  return withCentre(flags, terminal, async ({ publish }) => {
    const changes = (await assignments(texts)).map(([key, value]): Change => {
      if (value === undefined)
        throw usage(`${key}= says no value: ${key}='""' is empty text; weft settings unset takes a key away`);
      return setting(namespace, key, keys === null ? value : keys.seal(namespace, key, value), expected.get(key));
    });
    for (const key of expected.keys())
      if (!changes.some(({ change }) => change?.case === "set" && change.value.key === key))
        throw usage(`--if ${key}: it is not set here`);
    return publish(changes, flags, "weft settings set");
  });
}

/** `weft settings unset NAMESPACE KEY...` */
export function unset(
  namespace: string,
  keys: readonly string[],
  flags: ChangeFlags,
  terminal: Terminal,
): Promise<number> {
  return withCentre(flags, terminal, ({ publish }) =>
    publish(
      keys.map((key): Change => ({ namespace, change: { case: "remove", value: { key } } })),
      flags,
      "weft settings unset",
    ),
  );
}

/** A change that gives a key a value. `expected`: if it was changed last at that revision; 0: if it is not there. */
export function setting(namespace: string, key: string, value: SettingValue, expected?: number): Change {
  const expectedRevision = expected === undefined ? {} : { expectedRevision: BigInt(expected) };
  return { namespace, change: { case: "set", value: { key, json: JSON.stringify(value), ...expectedRevision } } };
}

/** "10% of processes, zone eu" */
export function selectorText({ percent, instances, zones, labels, tags }: GraySelector): string {
  const parts: string[] = [];
  if (percent !== undefined) parts.push(`${percent} % of processes`);
  if (instances !== undefined) parts.push(instances.join(" or "));
  if (zones !== undefined) parts.push(`zone ${zones.join(" or ")}`);
  if (tags !== undefined) parts.push(`tag ${tags.join(" and ")}`);
  for (const [name, value] of Object.entries(labels ?? {})) parts.push(`${name}=${value}`);
  return sanitize(parts.join(", "), false);
}

function expectation(text: string): [key: string, revision: number] {
  const [, key = "", revision = ""] = /^([^=]+)=(\d{1,15})$/.exec(text) ?? [];
  if (key === "") throw usage(`--if "${text.slice(0, 100)}" is not KEY=REVISION`);
  return [key, Number(revision)];
}

function valueAt(state: SettingsState, namespace: string, key: string): SettingValue {
  const { values } = namespaceOf(state, namespace);
  if (Object.hasOwn(values, key)) return values[key].value;
  throw new WeftError(
    "not_found",
    `${namespace} has no key "${key.slice(0, 128)}"${didYouMean(key, Object.keys(values))}`,
    {
      reason: "UNKNOWN_KEY",
    },
  );
}

function revealed({ namespaces }: SettingsState, keys: SettingsKeys): SettingsState {
  const open: [string, SettingsNamespace][] = Object.entries(namespaces).map(([name, namespace]) => {
    const plain = (key: string, value: SettingValue): SettingValue =>
      isSealed(value) ? keys.unseal(name, key, value) : value;
    const values = Object.entries(namespace.values).map(([key, entry]) => [
      key,
      { ...entry, value: plain(key, entry.value) },
    ]);
    const grays = namespace.grays.map((gray) => ({
      ...gray,
      changes: Object.fromEntries(
        Object.entries(gray.changes).map(([key, value]) => [key, value === null ? null : plain(key, value)]),
      ),
    }));
    return [name, { ...namespace, values: Object.fromEntries(values), grays }];
  });
  return { namespaces: Object.fromEntries(open) };
}

function printNamespaces({ revision, state, consumers }: Held, terminal: Terminal): void {
  const { dim } = terminal.color;
  const names = new Set([...Object.keys(state.namespaces), ...consumers.map(({ namespace }) => namespace)]);
  if (names.size === 0) return terminal.out("nothing is set, and nobody uses settings\n");
  const rows = [...names].sort().map((name) => {
    const { values, schema, grays, revision: changed } = namespaceOf(state, name);
    const used = consumers.filter(({ namespace }) => namespace === name);
    const refusing = used.filter(({ refusal }) => refusal !== "").length;
    return [
      { text: name },
      { text: String(Object.keys(values).length) },
      { text: schema === null ? "" : schema.kind === "json" ? "JSON Schema" : sanitize(schema.message, false) },
      { text: String(grays.length) },
      { text: String(changed) },
      { text: `${used.length}${refusing === 0 ? "" : `, ${refusing} refuse them`}` },
    ];
  });
  const titles = ["NAMESPACE", "KEYS", "SCHEMA", "GRAY", "REVISION", "PROCESSES"].map((title) => ({ title }));
  terminal.out(`${formatColumns(titles, rows, dim).join("\n")}\n${dim(`revision ${revision}`)}\n`);
}

function printNamespace(name: string, { revision, state, consumers }: Held, terminal: Terminal): void {
  const { dim, red, yellow } = terminal.color;
  const { values, schema, grays } = namespaceOf(state, name);
  const rows = Object.entries(values).map(([key, entry]) => [
    { text: key },
    { text: short(shown(name, key, entry.value, null)) },
    { text: String(entry.revision) },
    { text: sanitize(entry.author, false) || "nobody" },
    { text: minuteOf(entry.atMs) },
  ]);
  const titles = ["KEY", "VALUE", "REVISION", "BY", "AT"].map((title) => ({ title }));
  if (rows.length === 0) terminal.out("nothing is set\n");
  else terminal.out(`${formatColumns(titles, rows, dim).join("\n")}\n`);
  if (schema !== null)
    terminal.out(
      `schema: ${schema.kind === "json" ? `JSON Schema (weft settings schema get ${name})` : sanitize(schema.message, false)}\n`,
    );
  for (const { id, to, changes } of grays) {
    const what = Object.entries(changes).map(
      ([key, value]) => `${key}=${value === null ? "" : short(shown(name, key, value, null))}`,
    );
    terminal.out(`${yellow("gray")} ${sanitize(id, false)}: ${selectorText(to)}: ${what.join(" ")}\n`);
  }
  for (const one of consumers.toSorted((a, b) => (a.process < b.process ? -1 : 1))) {
    const { process, appliedRevision, refusal, refusedRevision, revision: sent, grays: has } = one;
    const with_ = has.length === 0 ? "" : ` with ${has.join(", ")}`;
    const state =
      refusal !== ""
        ? `${red("refuses")} revision ${refusedRevision}, ${appliedRevision} stays: ${sanitize(refusal, false)}`
        : appliedRevision === sent
          ? `${appliedRevision === 0n ? "has its own defaults" : `has revision ${appliedRevision}`}${sanitize(with_, false)}`
          : `${yellow("has not answered")} to revision ${sent}`;
    terminal.out(`${sanitize(process, false)}  ${state}\n`);
  }
  terminal.out(`${dim(`revision ${revision}`)}\n`);
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
