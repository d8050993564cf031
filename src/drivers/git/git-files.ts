import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type Document, LineCounter, parseAllDocuments, stringify } from "yaml";
import { WeftError } from "../../core/errors.ts";
import type { SettingEntry, SettingsNamespace, SettingsState } from "../../settings/settings-state.ts";

/**
 * A revision as files, for people to read and edit:
 *
 *     resources/KIND-NAME.yaml   a resource; people may write any files with any number of documents there, YAML or JSON
 *     settings/NAMESPACE.yaml    `values`, and `schema` and `grays` where there are some
 *     .weft.json                 what people need not care for: the order of resources, and who changed each setting when. What does not fit what the other files say does not count
 */
export type RevisionFiles = ReadonlyMap<string, string>;

/** Who made the revision that the files are of, for what they do not say. */
export interface FilesOrigin {
  readonly revision: number;
  readonly author: string;
  readonly atMs: number;
}

export interface RevisionContent {
  readonly resources: readonly unknown[];
  readonly settings: SettingsState;
}

/** Whether a path of the repository is part of a revision. */
export function isRevisionFile(path: string): boolean {
  return (
    path === NOTES ||
    /^resources\/\P{Cc}+\.(?:ya?ml|json)$/u.test(path) ||
    /^settings\/[^/\p{Cc}]+\.(?:ya?ml|json)$/u.test(path)
  );
}

/** Throws `invalid_argument`, with file and line. */
export function decodeFiles(files: RevisionFiles, origin: FilesOrigin): RevisionContent {
  const notes = notesOf(files.get(NOTES));
  const byFile = documentsByFile(files);
  const place = new Map(notes.order.map((file, index) => [file, index]));
  const after = (file: string): number => place.get(file) ?? notes.order.length;
  const ordered = [...byFile.keys()].sort((a, b) => after(a) - after(b) || (a < b ? -1 : 1));
  const namespaces = new Map<string, SettingsNamespace>();
  for (const file of [...files.keys()].sort()) {
    const name = /^settings\/(.+)\.(?:ya?ml|json)$/.exec(file)?.[1];
    if (name === undefined) continue;
    if (namespaces.has(name)) throw wrong(file, undefined, `there is another file of the namespace ${name}`);
    const note = Object.hasOwn(notes.settings, name) ? notes.settings[name] : undefined;
    namespaces.set(name, namespaceOf(file, files.get(file) ?? "", note, origin));
  }
  return {
    resources: ordered.flatMap((file) => byFile.get(file) ?? []),
    settings: { namespaces: Object.fromEntries(namespaces) },
  };
}

/** The files of what comes after `before`. What says the same as before stays as somebody wrote it. */
export function encodeFiles({ resources, settings }: RevisionContent, before: RevisionFiles): RevisionFiles {
  const files = new Map<string, string>();
  const left = new Map<string, number[]>();
  for (const [index, resource] of resources.entries()) {
    const text = JSON.stringify(resource);
    left.set(text, [...(left.get(text) ?? []), index]);
  }
  const fileOf = new Map<number, string>();
  for (const [file, documents] of readable(before)) {
    const indexes = documents.map((document) => left.get(JSON.stringify(document))?.shift());
    // Only a file whose documents follow each other says their order.
    const whole = indexes.every(
      (index, at) => index !== undefined && (at === 0 || index === Number(indexes[at - 1]) + 1),
    );
    if (whole && documents.length > 0) {
      files.set(file, before.get(file) ?? "");
      for (const index of indexes) fileOf.set(Number(index), file);
    } else
      for (const [at, index] of indexes.entries())
        if (index !== undefined) left.get(JSON.stringify(documents[at]))?.push(index);
  }
  const order: string[] = [];
  for (const [index, resource] of resources.entries()) {
    let file = fileOf.get(index);
    if (file === undefined) {
      file = freeName(`resources/${nameOf(resource)}`, files);
      files.set(file, stringify(resource, STYLE));
    }
    if (order.at(-1) !== file) order.push(file);
  }
  for (const [name, namespace] of Object.entries(settings.namespaces)) {
    const content = contentOf(namespace);
    const known = [`settings/${name}.yaml`, `settings/${name}.yml`, `settings/${name}.json`].find((file) =>
      before.has(file),
    );
    const text = known === undefined ? undefined : before.get(known);
    const same = known !== undefined && text !== undefined && isDeepStrictEqual(tryParse(known, text), content);
    if (same) files.set(known, text);
    else files.set(`settings/${name}.yaml`, stringify(content, STYLE));
  }
  files.set(NOTES, `${JSON.stringify({ version: 1, order, settings: settingsNotes(settings) }, null, 1)}\n`);
  return files;
}

interface Notes {
  readonly order: readonly string[];
  readonly settings: Readonly<Record<string, NamespaceNotes>>;
}

interface NamespaceNotes {
  readonly revision: number;
  /** Of the whole of it. */
  readonly digest: string;
  readonly values: Readonly<Record<string, { revision: number; author: string; atMs: number; digest: string }>>;
}

function settingsNotes({ namespaces }: SettingsState): Record<string, NamespaceNotes> {
  const notes: Record<string, NamespaceNotes> = {};
  for (const [name, namespace] of Object.entries(namespaces)) {
    const entries = Object.entries(namespace.values).map(([key, { value, revision, author, atMs }]) => [
      key,
      { revision, author, atMs, digest: digestOf(value) },
    ]);
    notes[name] = {
      revision: namespace.revision,
      digest: digestOf(contentOf(namespace)),
      values: Object.fromEntries(entries),
    };
  }
  return notes;
}

/** Nothing for what people have broken: it only loses who changed what. */
function notesOf(text: string | undefined): Notes {
  try {
    const { version, order, settings } = JSON.parse(text ?? "") as Notes & { version: number };
    if (version === 1 && Array.isArray(order) && typeof settings === "object" && settings !== null)
      return { order, settings };
  } catch {
    // As without.
  }
  return { order: [], settings: {} };
}

function namespaceOf(
  file: string,
  text: string,
  notes: NamespaceNotes | undefined,
  origin: FilesOrigin,
): SettingsNamespace {
  const [content] = parse(file, text);
  const { values = {}, schema = null, grays = [], ...others } = objectOf(file, content, "a namespace of settings");
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw wrong(file, undefined, `"${unknown}" is none of values, schema and grays`);
  if (!Array.isArray(grays)) throw wrong(file, undefined, "grays is a list");
  const { revision, author, atMs } = origin;
  const entries: [string, SettingEntry][] = [];
  for (const [key, value] of Object.entries(objectOf(file, values, "values"))) {
    const known = Object.hasOwn(notes?.values ?? {}, key) ? notes?.values[key] : undefined;
    const same = known !== undefined && known.digest === digestOf(value);
    const by = same ? { revision: known.revision, author: known.author, atMs: known.atMs } : { revision, author, atMs };
    entries.push([key, { value: value as SettingEntry["value"], ...by }]);
  }
  const made = { values: Object.fromEntries(entries), schema, grays, revision } as SettingsNamespace;
  return notes?.digest === digestOf(contentOf(made)) ? { ...made, revision: notes.revision } : made;
}

/** What its file says. */
function contentOf({ values, schema, grays }: SettingsNamespace): Record<string, unknown> {
  return {
    values: Object.fromEntries(Object.entries(values).map(([key, { value }]) => [key, value])),
    ...(schema !== null && { schema }),
    ...(grays.length > 0 && { grays }),
  };
}

function documentsByFile(files: RevisionFiles): Map<string, unknown[]> {
  const byFile = new Map<string, unknown[]>();
  for (const [file, text] of files) if (file.startsWith("resources/")) byFile.set(file, parse(file, text));
  return byFile;
}

/** Files before that nobody can read are written anew. */
function* readable(files: RevisionFiles): Generator<[string, unknown[]]> {
  for (const [file, text] of files) {
    if (!file.startsWith("resources/")) continue;
    const documents = tryDocuments(file, text);
    if (documents !== null) yield [file, documents];
  }
}

function tryDocuments(file: string, text: string): unknown[] | null {
  try {
    return parse(file, text);
  } catch {
    return null;
  }
}

function tryParse(file: string, text: string): unknown {
  return tryDocuments(file, text)?.[0];
}

/** A list's items are documents, too. */
function parse(file: string, text: string): unknown[] {
  const lineCounter = new LineCounter();
  const found: unknown[] = [];
  for (const document of parseAllDocuments(text, { lineCounter, version: "1.2", uniqueKeys: true })) {
    if (!("errors" in document)) continue;
    const [error] = document.errors;
    if (error !== undefined) throw wrong(file, lineCounter.linePos(error.pos[0]).line, error.message.split("\n")[0]);
    const value = plainOf(file, document);
    if (Array.isArray(value) && file.startsWith("resources/")) found.push(...value);
    else if (value !== null && value !== undefined) found.push(value);
  }
  return found;
}

/** Aliases that would make much of little are refused. */
function plainOf(file: string, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw wrong(file, undefined, (cause as Error).message);
  }
}

function objectOf(file: string, value: unknown, what: string): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(file, undefined, `${what} is an object, key by key`);
}

function wrong(file: string, line: number | undefined, what: string): WeftError {
  const at = line === undefined ? file : `${file}:${line}`;
  return new WeftError("invalid_argument", `${at}: ${what}`, {
    reason: "BAD_REVISION",
    place: { file, ...(line !== undefined && { line }) },
  });
}

function nameOf(resource: unknown): string {
  const { kind = "resource", metadata = {} } = (resource ?? {}) as {
    kind?: string;
    metadata?: { name?: string; namespace?: string };
  };
  const parts = [kind, metadata?.namespace, metadata?.name].filter((part) => typeof part === "string" && part !== "");
  return parts
    .join("-")
    .replace(/[^A-Za-z0-9._-]/g, "_")
    .slice(0, 180);
}

function freeName(wanted: string, files: ReadonlyMap<string, string>): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? `${wanted}.yaml` : `${wanted}-${n}.yaml`;
    if (!files.has(name)) return name;
  }
}

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("base64url").slice(0, 22);
}

const NOTES = ".weft.json";
/** Lines as long as they are: what is one value is one line of a difference. */
const STYLE = { lineWidth: 0, version: "1.2" } as const;
