import type { GraySelectorSchema } from "../../../contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../../../contract/runtime.ts";
import { EXIT, usage } from "../../exit-status.ts";
import { jsonOf } from "../../json-of.ts";
import { sanitize, type Terminal } from "../../terminal.ts";
import type { LedgerFlags } from "../ledger/ledger-line.ts";
import { assignments, type ChangeFlags, keysNeeded, minuteOf, shown, withCentre } from "./centre.ts";
import { selectorText } from "./settings.ts";

interface SelectorFlags {
  percent?: number;
  instance?: string[];
  zone?: string[];
  label?: string[];
  tag?: string[];
}

/** `weft settings gray begin NAMESPACE KEY=VALUE...` */
export function begin(
  namespace: string,
  texts: readonly string[],
  flags: ChangeFlags & SelectorFlags & { seal: boolean },
  terminal: Terminal,
): Promise<number> {
  const to = selectorOf(flags);
  const keys = flags.seal ? keysNeeded("--seal") : null;
  return withCentre(flags, terminal, async ({ publish }) => {
    const values: [string, string][] = [];
    for (const [key, value] of await assignments(texts)) {
      const kept = value === undefined || keys === null ? value : keys.seal(namespace, key, value);
      values.push([key, kept === undefined ? "" : JSON.stringify(kept)]);
    }
    const value = { values: Object.fromEntries(values), to };
    return publish([{ namespace, change: { case: "beginGray", value } }], flags, "weft settings gray begin");
  });
}

/** `weft settings gray widen NAMESPACE ID` */
export function widen(
  namespace: string,
  id: string,
  flags: ChangeFlags & SelectorFlags,
  terminal: Terminal,
): Promise<number> {
  const to = selectorOf(flags);
  return withCentre(flags, terminal, ({ publish }) =>
    publish([{ namespace, change: { case: "widenGray", value: { id, to } } }], flags, `weft settings gray widen ${id}`),
  );
}

/** `weft settings gray promote|end NAMESPACE ID` */
export function end(
  namespace: string,
  id: string,
  promote: boolean,
  flags: ChangeFlags,
  terminal: Terminal,
): Promise<number> {
  const change = promote ? ("promoteGray" as const) : ("endGray" as const);
  return withCentre(flags, terminal, ({ publish }) =>
    publish(
      [{ namespace, change: { case: change, value: id } }],
      flags,
      `weft settings gray ${promote ? "promote" : "end"} ${id}`,
    ),
  );
}

/** `weft settings gray ls [NAMESPACE]` */
export function list(namespace: string | undefined, flags: LedgerFlags, terminal: Terminal): Promise<number> {
  return withCentre(flags, terminal, async ({ read }) => {
    const { state, consumers } = await read(namespace);
    const all = Object.entries(state.namespaces).flatMap(([name, { grays }]) =>
      grays.map((gray) => {
        const used = consumers.filter((one) => one.namespace === name);
        const has = used.filter((one) => one.grays.includes(gray.id));
        return { namespace: name, ...gray, processes: used.length, has: has.map(({ process }) => process) };
      }),
    );
    if (flags.json) terminal.out(jsonOf(all));
    else if (all.length === 0) terminal.out("no gray release is under way\n");
    for (const { namespace: name, id, to, changes, author, sinceMs, reason, processes, has } of flags.json ? [] : all) {
      const what = Object.entries(changes).map(
        ([key, value]) => `${key}=${value === null ? "" : shown(name, key, value, null)}`,
      );
      terminal.out(`${name} ${sanitize(id, false)}: ${selectorText(to)}: ${what.join(" ")}\n`);
      terminal.out(
        `  by ${sanitize(author, false) || "nobody"} since ${minuteOf(sinceMs)}: ${sanitize(reason, false)}\n`,
      );
      terminal.out(
        `  ${has.length} of ${processes} processes have it${has.length === 0 ? "" : `: ${sanitize(has.slice(0, 20).join(", "), false)}`}\n`,
      );
    }
    return EXIT.ok;
  });
}

function selectorOf({
  percent,
  instance,
  zone,
  label = [],
  tag,
}: SelectorFlags): MessageInitShape<typeof GraySelectorSchema> {
  if (percent !== undefined && !(percent >= 0 && percent <= 100)) throw usage("--percent is 0 to 100");
  if ([percent, instance, zone, tag].every((part) => part === undefined) && label.length === 0)
    throw usage("say to whom: --percent, --instance, --zone, --tag or --label");
  const labels: [string, string][] = label.map((text) => {
    const [, name = "", value = ""] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (name === "") throw usage(`--label "${text.slice(0, 100)}" is not NAME=VALUE`);
    return [name, value];
  });
  return { percent, instances: instance ?? [], zones: zone ?? [], tags: tag ?? [], labels: Object.fromEntries(labels) };
}
