import type { Revision } from "../../../contract/gen/weft/control/v1/control.ts";
import { parseSettingsState } from "../../../settings/check-state.ts";
import { NO_SETTINGS } from "../../../settings/settings-state.ts";
import { formatColumns } from "../../columns.ts";
import { EXIT, usage } from "../../exit-status.ts";
import { jsonOf } from "../../json-of.ts";
import { sanitize, type Terminal } from "../../terminal.ts";
import { type LedgerFlags, type PublishingFlags, publicationOf, withLedger } from "./ledger-line.ts";
import { DATA_PLANES, printDelivery, printWarnings, statusOfDelivery } from "./print-published.ts";
import { diffRevisions, type FieldDifference, type RevisionDiff } from "./revision-diff.ts";

/** `weft history` */
export function history(
  flags: LedgerFlags & { limit: number; settings?: string },
  terminal: Terminal,
): Promise<number> {
  return withLedger(flags, async ({ client, metadata }) => {
    const { refused, revision: current } = await client.getStatus({}, { metadata });
    const found: Revision[] = [];
    for (let before = 0n; found.length < flags.limit; ) {
      const { revisions } = await client.listRevisions({ limit: PAGE, before }, { metadata });
      found.push(...revisions.filter(({ changes }) => isAbout(changes, flags.settings)));
      if (revisions.length < PAGE) break;
      before = revisions[revisions.length - 1].revision;
    }
    const shown = found.slice(0, flags.limit);
    if (flags.json) {
      const notes = shown.map(({ revision, author, reason, publishedMs, changes, tags }) => {
        return { revision, author, reason, publishedMs, changes, tags };
      });
      terminal.out(jsonOf(notes));
      return EXIT.ok;
    }
    if (refused !== undefined) {
      const { red } = terminal.errColor;
      terminal.err(
        `${red("refused")}  revision ${refused.revision} by ${clean(refused.author) || "nobody"} is not in force: ${clean(refused.problem)}\n`,
      );
    }
    if (shown.length === 0) {
      terminal.out(
        flags.settings === undefined
          ? "nothing was ever published\n"
          : `no revision that is kept changed settings of ${flags.settings}\n`,
      );
      return EXIT.ok;
    }
    const { bold, dim, green } = terminal.color;
    const titles = [
      { title: "REVISION", align: "right" as const },
      ...["WHEN", "AUTHOR", "TAGS", "CHANGES", "REASON"].map((title) => ({ title })),
    ];
    const rows = shown.map(({ revision, author, reason, publishedMs, changes, tags }) => [
      { text: String(revision), ...(revision === current && { style: bold }) },
      { text: timeOf(Number(publishedMs)) },
      { text: clean(author) || "nobody" },
      { text: clean(tags.join(", ")), style: green },
      { text: few(changes) },
      { text: clean(reason.split("\n", 1)[0]), style: dim },
    ]);
    terminal.out(`${formatColumns(titles, rows, dim).join("\n")}\n`);
    return EXIT.ok;
  });
}

/** `weft diff 41..42`: also "41" (what it changed), "41..", and tags in place of numbers. Exit status 0, whatever differs. */
export function diff(range: string, flags: LedgerFlags, terminal: Terminal): Promise<number> {
  const [first, last] = rangeOf(range);
  return withLedger(flags, async ({ find }) => {
    const one = await find(first);
    const [before, after] = last === null ? [await previousOf(one, find), one] : [one, await find(last)];
    const found = diffOf(before, after);
    if (flags.json) terminal.out(jsonOf({ before: before.revision, after: after.revision, ...found }));
    else {
      terminal.out(
        `${terminal.color.dim(`revision ${before.revision} -> ${after.revision}, ${timeOf(Number(after.publishedMs))}, ${clean(after.author) || "nobody"}${after.reason === "" ? "" : `: ${clean(after.reason)}`}`)}\n`,
      );
      print(found, after, terminal);
      if (isEmpty(found)) terminal.out("nothing differs\n");
    }
    return EXIT.ok;
  });
}

/** "41..42" in its parts, "41.." with "" for the current one, "41" with null: what it changed. Throws `invalid_argument` (BAD_USAGE). */
export function rangeOf(range: string): [first: string, last: string | null] {
  const match = /^([^.]+(?:\.[^.]+)*)(?:(\.\.)([^.]+(?:\.[^.]+)*)?)?$/.exec(range);
  if (match === null)
    throw usage(
      `"${range.slice(0, 100)}" is no range of revisions; write 41..42, 41.. or 41, or tags in place of numbers`,
    );
  const [, first, dots, last = ""] = match;
  return [first, dots === undefined ? null : last];
}

/** `weft rollback 41`: resources and settings as they were, as the next revision. Exit status 1 where a data plane refuses it. */
export function rollback(name: string, flags: PublishingFlags, terminal: Terminal): Promise<number> {
  return withLedger(flags, async ({ client, metadata, find }) => {
    const [target, current] = [await find(name), await find("")];
    const found = diffOf(current, target);
    if (isEmpty(found)) {
      terminal.out(
        flags.json
          ? jsonOf({ revision: current.revision, changed: false })
          : `all is as it was at revision ${target.revision} already\n`,
      );
      return EXIT.ok;
    }
    const named = String(target.revision) === name ? "" : ` (${name})`;
    const published = await client.rollbackRevision(
      {
        revision: target.revision,
        reason: flags.reason || `rollback to revision ${target.revision}${named}`,
        // What was shown, or looked at before, is what is undone.
        expectedRevision: current.revision,
        ...publicationOf(flags),
      },
      { timeoutMs: flags.wait + 30_000, metadata },
    );
    const { revision, delivery, warnings } = published;
    if (flags.json) terminal.out(jsonOf({ revision, changed: !flags.dryRun, warnings, delivery, diff: found }));
    else {
      printWarnings(warnings, terminal);
      print(found, target, terminal);
      const what = `published revision ${revision}, which holds what ${target.revision} held`;
      if (flags.dryRun) terminal.out("nothing is wrong with it; nothing was published\n");
      else printDelivery(what, delivery, DATA_PLANES, terminal);
    }
    return statusOfDelivery(delivery);
  });
}

/** `weft tag NAME [REVISION]` */
export function tag(
  name: string,
  revision: string,
  flags: LedgerFlags & { delete: boolean },
  terminal: Terminal,
): Promise<number> {
  return withLedger(flags, async ({ client, metadata, find }) => {
    const number = flags.delete ? 0n : (await find(revision)).revision;
    await client.tagRevision({ name, revision: number }, { metadata });
    if (flags.json) terminal.out(jsonOf({ name, revision: number }));
    else
      terminal.out(
        flags.delete ? `no revision has the tag ${name} any more\n` : `revision ${number} has the tag ${name}\n`,
      );
    return EXIT.ok;
  });
}

async function previousOf(
  { revision }: Revision,
  find: (name: string) => Promise<Revision>,
): Promise<Pick<Revision, "revision" | "resources" | "settings">> {
  return revision <= 1n ? { revision: 0n, resources: "[]", settings: "" } : find(String(revision - 1n));
}

function diffOf(
  before: Pick<Revision, "resources" | "settings">,
  after: Pick<Revision, "resources" | "settings">,
): RevisionDiff {
  const [was, is] = [before, after].map(({ resources, settings }) => ({
    resources,
    settings: settings === "" ? NO_SETTINGS : parseSettingsState(settings),
  }));
  return diffRevisions(was, is);
}

function isEmpty({ resources, settings }: RevisionDiff): boolean {
  return resources.length === 0 && settings.length === 0;
}

function print({ resources, settings }: RevisionDiff, after: Pick<Revision, "resources">, terminal: Terminal): void {
  const { bold, red, green, yellow } = terminal.color;
  const field = (indent: string, { name, ...sides }: FieldDifference): void => {
    if ("before" in sides) terminal.out(`${red(`${indent}- ${clean(name)}: ${shown(sides.before)}`)}\n`);
    if ("after" in sides) terminal.out(`${green(`${indent}+ ${clean(name)}: ${shown(sides.after)}`)}\n`);
  };
  for (const { name, change, fields } of resources) {
    const mark = change === "added" ? green("+") : change === "removed" ? red("-") : yellow("~");
    terminal.out(`${mark} ${bold(clean(name))}${change === "changed" ? "" : ` ${change}`}\n`);
    for (const one of fields) field("    ", one);
  }
  if (settings.length === 0) return;
  if (resources.length > 0 && after.resources !== "") terminal.out("\n");
  terminal.out(`${bold("settings")}\n`);
  for (const one of settings) field("    ", one);
}

/** Whether a line of changes is about settings of a namespace. */
function isAbout(changes: readonly string[], namespace: string | undefined): boolean {
  if (namespace === undefined) return true;
  return changes.some((change) => {
    const [, name] = /(?:^|\bof )settings ([^/]+)(?:\/.*)?$/.exec(change) ?? [];
    return name === namespace;
  });
}

function few(changes: readonly string[]): string {
  const text = changes.slice(0, 2).join(", ");
  return clean(changes.length > 2 ? `${text} and ${changes.length - 2} more` : text);
}

function shown(value: unknown): string {
  const text = clean(typeof value === "string" ? value : JSON.stringify(value));
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}... (${text.length} characters)` : text;
}

function clean(text: string): string {
  return sanitize(text.replaceAll("\n", " "), false);
}

/** "2026-11-21 20:15:07", in local time. */
export function timeOf(ms: number): string {
  const at = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

const PAGE = 500;
const MAX_SHOWN = 500;
