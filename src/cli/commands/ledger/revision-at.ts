import type { Revision } from "../../../contract/gen/weft/control/v1/control.ts";
import type { WeftError } from "../../../core/errors.ts";
import { parseDuration } from "../../../policy/resource/duration.ts";
import type { AskingFlags } from "../../ask-control.ts";
import { usage } from "../../exit-status.ts";
import { sanitize } from "../../terminal.ts";
import { timeOf } from "./ledger.ts";
import { withLedger } from "./ledger-line.ts";

/** What `--at` names: "41", a tag, "2026-11-21T20:15", "20:15" (the last one), "90m" (ago). Rejects `invalid_argument`, `not_found`. */
export function revisionAt(when: string, flags: AskingFlags): Promise<Revision> {
  return withLedger(flags, ({ client, metadata }) => {
    const get = (request: { revision: bigint } | { tag: string } | { atMs: bigint }) =>
      client.getRevision(request, { metadata });
    if (/^\d{1,15}$/.test(when)) return get({ revision: BigInt(when) });
    const atMs = timeIn(when, Date.now());
    return get(atMs === null ? { tag: when } : { atMs: BigInt(atMs) });
  });
}

/** Revisions by their numbers, ascending, each once; those that are dropped or of before a loss of data are left out. */
export function revisionsOf(numbers: readonly number[], flags: AskingFlags): Promise<Revision[]> {
  const unique = [...new Set(numbers)].filter((number) => number > 0).sort((a, b) => a - b);
  return withLedger(flags, async ({ find }) => {
    const found = await Promise.all(unique.map((revision) => find(String(revision)).catch(() => null)));
    return found.filter((revision) => revision !== null);
  });
}

/** For people: "revision 41 by ada, 2026-11-21 20:15:07: slower retries". */
export function revisionText({ revision, author, reason, publishedMs, tags }: Revision): string {
  const names = tags.length === 0 ? "" : ` (${tags.join(", ")})`;
  const why = reason === "" ? "" : `: ${reason.replaceAll("\n", " ")}`;
  return sanitize(`revision ${revision}${names} by ${author || "nobody"}, ${timeOf(Number(publishedMs))}${why}`, false);
}

/** For JSON: without what it holds. */
export function noteOf({ revision, author, reason, publishedMs, tags, changes }: Revision): object {
  return { revision: Number(revision), author, reason, publishedMs: Number(publishedMs), tags, changes };
}

/** Ms since the epoch; null: it is no time. Throws `invalid_argument` for what only looks like one. */
export function timeIn(text: string, nowMs: number): number | null {
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text);
  if (clock !== null) {
    const at = new Date(nowMs);
    at.setHours(Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 59), clock[3] === undefined ? 999 : 0);
    if (Number(clock[1]) > 23 || Number(clock[2]) > 59 || Number(clock[3] ?? 0) > 59) throw noTime(text);
    // Of a day before, where today's is still to come; a minute that has begun counts.
    if (at.getTime() - (clock[3] === undefined ? 60_000 : 0) > nowMs) at.setDate(at.getDate() - 1);
    return at.getTime();
  }
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const ms = Date.parse(text);
    if (Number.isNaN(ms)) throw noTime(text);
    return ms;
  }
  if (!/^\d/.test(text)) return null;
  const ms = parseDuration(text);
  if (ms === undefined) throw noTime(text);
  return nowMs - ms;
}

function noTime(text: string): WeftError {
  return usage(`"${text.slice(0, 60)}" is no revision, tag or time; write 41, 2026-11-21T20:15, 20:15 or 90m`);
}
