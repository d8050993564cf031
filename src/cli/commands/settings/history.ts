import type { Revision } from "../../../contract/gen/weft/control/v1/control.ts";
import { WeftError } from "../../../core/errors.ts";
import { diffSettings } from "../../../settings/diff-settings.ts";
import { canonicalJson, isSealed } from "../../../settings/json-value.ts";
import { keyIdOf } from "../../../settings/sealed.ts";
import { type Json, NO_SETTINGS, type SettingValue } from "../../../settings/settings-state.ts";
import { EXIT, usage } from "../../exit-status.ts";
import { jsonOf } from "../../json-of.ts";
import { sanitize, type Terminal } from "../../terminal.ts";
import { rangeOf } from "../ledger/ledger.ts";
import type { LedgerFlags } from "../ledger/ledger-line.ts";
import {
  type Centre,
  type Change,
  type ChangeFlags,
  minuteOf,
  namespaceOf,
  placeOf,
  shown,
  withCentre,
} from "./centre.ts";
import { setting } from "./settings.ts";

/** `weft settings history [NAMESPACE[/KEY]]` */
export function history(
  place: string | undefined,
  flags: LedgerFlags & { limit: number },
  terminal: Terminal,
): Promise<number> {
  const { namespace, key } = placeOf(place ?? "");
  return withCentre(flags, terminal, async (centre) => {
    const found: {
      revision: number;
      author: string;
      reason: string;
      publishedMs: number;
      changes: string[];
      value?: unknown;
    }[] = [];
    for await (const { revision, author, reason, publishedMs, changes } of revisions(centre)) {
      const mine = changes.filter((change) => isAbout(change, namespace, key));
      if (mine.length === 0) continue;
      const entry = { revision: Number(revision), author, reason, publishedMs: Number(publishedMs), changes: mine };
      found.push(key === "" ? entry : { ...entry, value: await valueAt(centre, namespace, key, entry.revision) });
      if (found.length >= flags.limit) break;
    }
    if (flags.json) terminal.out(jsonOf(found));
    else if (found.length === 0) terminal.out(`no revision that is kept changed ${place ?? "settings"}\n`);
    const { dim } = terminal.color;
    for (const { revision, author, reason, publishedMs, changes, value } of flags.json ? [] : found) {
      const what = key === "" ? changes.join(", ") : valueText(namespace, key, value as SettingValue | null);
      terminal.out(
        `${revision}  ${minuteOf(publishedMs)}  ${sanitize(author, false) || "nobody"}  ${sanitize(what, false)}  ${dim(sanitize(reason, false))}\n`,
      );
    }
    return EXIT.ok;
  });
}

/** `weft settings diff 41..42 [NAMESPACE]`: also "41" (what it changed), "41.." (until now) and tags in place of numbers, as of `weft diff`. Exit status 0, whatever differs. */
export function diff(
  range: string,
  namespace: string | undefined,
  flags: LedgerFlags,
  terminal: Terminal,
): Promise<number> {
  const [first, last] = rangeOf(range);
  return withCentre(flags, terminal, async ({ read, find }) => {
    const one = await find(first);
    const [from, to] = last === null ? [one - 1, one] : [one, await find(last)];
    const before = from === 0 ? { revision: 0, state: NO_SETTINGS } : await read("", from);
    const after = await read("", to);
    const found = diffSettings(before.state, after.state).filter(
      (one) => namespace === undefined || one.namespace === namespace,
    );
    if (flags.json) {
      terminal.out(jsonOf(found));
      return EXIT.ok;
    }
    const { red, green } = terminal.color;
    for (const { name, key, namespace: where, before: was, after: is } of found) {
      const text = (value: Json): string =>
        key === "" ? sanitize(JSON.stringify(value), false) : shown(where, key, value as SettingValue, null);
      if (was !== undefined) terminal.out(red(`- ${name}: ${text(was)}`) + "\n");
      if (is !== undefined) terminal.out(green(`+ ${name}: ${text(is)}`) + "\n");
    }
    if (found.length === 0) terminal.out(`settings are the same at ${before.revision} and ${after.revision}\n`);
    return EXIT.ok;
  });
}

/** `weft settings rollback REVISION NAMESPACE` */
export function rollback(name: string, namespace: string, flags: ChangeFlags, terminal: Terminal): Promise<number> {
  if (name === "0") throw usage("revision 0 is before the first");
  return withCentre(flags, terminal, async ({ read, find, publish }) => {
    const revision = await find(name);
    const [then, now] = await Promise.all([read("", revision), read()]);
    const wanted = namespaceOf(then.state, namespace);
    const current = namespaceOf(now.state, namespace);
    if (wanted.revision === 0 && current.revision === 0)
      throw new WeftError(
        "not_found",
        `there is no namespace "${namespace.slice(0, 64)}", and there was none at revision ${revision}`,
        {
          reason: "UNKNOWN_NAMESPACE",
        },
      );
    const changes: Change[] = current.grays.map(({ id }) => ({ namespace, change: { case: "endGray", value: id } }));
    if (canonicalJson(wanted.schema as Json) !== canonicalJson(current.schema as Json)) {
      const { schema } = wanted;
      const value =
        schema === null
          ? {}
          : schema.kind === "json"
            ? { jsonSchema: JSON.stringify(schema.schema) }
            : { message: schema.message };
      changes.push({ namespace, change: { case: "schema", value } });
    }
    for (const [key, { value }] of Object.entries(wanted.values)) {
      const there = Object.hasOwn(current.values, key) ? current.values[key] : undefined;
      if (there === undefined || canonicalJson(there.value) !== canonicalJson(value))
        changes.push(setting(namespace, key, value));
    }
    for (const key of Object.keys(current.values))
      if (!Object.hasOwn(wanted.values, key)) changes.push({ namespace, change: { case: "remove", value: { key } } });
    if (changes.length === 0) {
      terminal.out(
        flags.json
          ? `${JSON.stringify({ revision: now.revision, changed: false })}\n`
          : `${namespace} is as it was at revision ${revision} already\n`,
      );
      return EXIT.ok;
    }
    if (current.grays.length > 0 && !flags.json)
      terminal.err(
        `ends ${current.grays.length === 1 ? "gray release" : "gray releases"} ${current.grays.map(({ id }) => id).join(", ")}\n`,
      );
    const what = `rollback of settings ${namespace} to revision ${revision}`;
    return publish(changes, flags, what, flags.ifRevision ?? now.revision);
  });
}

async function* revisions({ client, metadata }: Centre): AsyncGenerator<Revision> {
  let before = 0n;
  for (;;) {
    const { revisions: page } = await client.listRevisions({ limit: PAGE, before }, { metadata });
    yield* page;
    if (page.length < PAGE) return;
    before = page[page.length - 1].revision;
  }
}

/** Whether a line of a revision's changes is about a place; "and 7 more" may be about any. */
function isAbout(change: string, namespace: string, key: string): boolean {
  const [, where = "", name = "", whole = ""] =
    /^settings ([^/]+)\/(.+)$|^(?:(?:schema|gray release \S+) of )?settings ([^/\s]+)$/.exec(change) ?? [];
  if (namespace === "") return where !== "" || whole !== "";
  return key === "" ? where === namespace || whole === namespace : where === namespace && name === key;
}

async function valueAt(
  { read }: Centre,
  namespace: string,
  key: string,
  revision: number,
): Promise<SettingValue | null> {
  const { values } = namespaceOf((await read("", revision)).state, namespace);
  return Object.hasOwn(values, key) ? values[key].value : null;
}

function valueText(namespace: string, key: string, value: SettingValue | null): string {
  if (value === null) return "taken away, or null";
  return isSealed(value) ? `(sealed by ${keyIdOf(value)})` : shown(namespace, key, value, null);
}

const PAGE = 200;
