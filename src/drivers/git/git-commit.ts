import type { RevisionNote } from "../../settings/revision-store.ts";
import { isRevisionFile, type RevisionFiles } from "./git-files.ts";

/** What git fast-import makes a commit of: the files that are others than before, author and reason, and what a commit has no place for at the end of its message. */
export function commitStream({
  ref,
  parent,
  revision: { author, reason, publishedMs, revision, changes },
  before,
  after,
}: {
  ref: string;
  /** "": the first commit. */
  parent: string;
  revision: RevisionNote;
  before: RevisionFiles;
  after: RevisionFiles;
}): Buffer {
  const seconds = Math.floor(publishedMs / 1_000);
  const name = author.replace(/[<>\p{Cc}]/gu, " ").trim() || "unknown";
  const trailers = [`Weft-Revision: ${revision}`, `Weft-Published: ${publishedMs}`];
  for (const change of changes) trailers.push(`Weft-Change: ${change.replace(/\p{Cc}/gu, " ")}`);
  if (name !== author) trailers.push(`Weft-Author: ${JSON.stringify(author)}`);
  const parts: (string | Buffer)[] = [
    `commit ${ref}\nauthor ${name} <> ${seconds} +0000\ncommitter weft <> ${seconds} +0000\n`,
    ...data(`${reason}\n\n${trailers.join("\n")}\n`),
    parent === "" ? "" : `from ${parent}\n`,
  ];
  for (const path of before.keys()) if (!after.has(path)) parts.push(`D ${path}\n`);
  for (const [path, text] of after)
    if (before.get(path) !== text) parts.push(`M 100644 inline ${path}\n`, ...data(text));
  return Buffer.concat(parts.map((part) => Buffer.from(part as string)));
}

/** For git log with --name-only. Nothing in a commit has a NUL, whoever wrote it. */
export const LOG_FORMAT = "%x00%H%x00%an%x00%ct%x00%B%x00";
const LOG_FIELDS = 5;

/** What it says: newest first, `newest` being the number of the first. */
export function notesOfLog(text: string, newest: number): RevisionNote[] {
  const fields = text.split("\0").slice(1);
  return Array.from({ length: Math.floor(fields.length / LOG_FIELDS) }, (_, index) => {
    const at = index * LOG_FIELDS;
    const [id, name, seconds, message, files] = fields.slice(at, at + LOG_FIELDS);
    const revision = newest - index;
    const { reason, trailers, changes } = readMessage(message);
    const own = trailers.get("Revision") === String(revision);
    const published = Number(trailers.get("Published"));
    return {
      revision,
      id,
      author: (own ? textOf(trailers.get("Author")) : null) ?? name,
      reason,
      publishedMs: own && Number.isSafeInteger(published) ? published : Number(seconds) * 1_000,
      changes: own && changes.length > 0 ? changes : changesOf(files.split("\n")),
    };
  });
}

function readMessage(message: string): { reason: string; trailers: Map<string, string>; changes: string[] } {
  const trailers = new Map<string, string>();
  const changes: string[] = [];
  // The last paragraph, if it has nothing else.
  const text = message.trimEnd();
  const at = text.lastIndexOf("\n\n");
  const lines = text.slice(at < 0 ? 0 : at + 2).split("\n");
  if (!lines.every((line) => TRAILER.test(line))) return { reason: text, trailers, changes };
  for (const line of lines) {
    const colon = line.indexOf(": ");
    if (line.startsWith("Weft-Change: ")) changes.push(line.slice(colon + 2));
    else trailers.set(line.slice("Weft-".length, colon), line.slice(colon + 2));
  }
  return { reason: text.slice(0, Math.max(0, at)).trimEnd(), trailers, changes: changes.slice(0, MAX_CHANGES) };
}

function changesOf(paths: readonly string[]): string[] {
  const changes: string[] = [];
  for (const path of paths) {
    if (!isRevisionFile(path) || path.startsWith(".")) continue;
    const [, folder, name] = /^(resources|settings)\/(.+)\.[a-z]+$/.exec(path) ?? [];
    changes.push(folder === "settings" ? `settings ${name}` : name.replace("-", " "));
  }
  if (changes.length <= MAX_CHANGES) return changes;
  return [...changes.slice(0, MAX_CHANGES - 1), `and ${changes.length - MAX_CHANGES + 1} more`];
}

function textOf(json: string | undefined): string | null {
  try {
    const text: unknown = JSON.parse(json ?? "");
    return typeof text === "string" ? text : null;
  } catch {
    return null;
  }
}

function data(text: string): (string | Buffer)[] {
  const bytes = Buffer.from(text);
  return [`data ${bytes.byteLength}\n`, bytes, "\n"];
}

const TRAILER = /^Weft-[A-Za-z]+: /;
const MAX_CHANGES = 50;
