import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { formatPlace, type Place, WeftError } from "../core/errors.ts";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import type { ResourceDocument } from "../policy/resource/resource-document.ts";
import { codeFrame, locateInSource, locateInYaml } from "./locate.ts";
import { resolveSystem, type System } from "./resolve-system.ts";

/**
 * Reads the description of the system in `target`: a folder with a `weft.config.ts` (or .mts, .js, .mjs, or weft.yaml), or such a file.
 * Throws `not_found` when there is none, `invalid_argument` when it cannot be read (with the place and the lines around it) or is
 * wrong (with all that is). A module is imported once in the life of a process.
 */
export async function loadSystem(target: string): Promise<System> {
  const file = findDescription(resolve(target));
  const shown = shownPath(file);
  const text = readFileSync(file, "utf8");
  if (isYaml(file)) {
    const { description, resources } = readSystemYaml(text, shown);
    return resolveSystem(description, shown, dirname(file), locateInYaml(text), resources);
  }
  const description = await importDefault(file, shown);
  return resolveSystem(description, shown, dirname(file), locateInSource(text), resourcesBeside(file));
}

const NAMES = ["weft.config.ts", "weft.config.mts", "weft.config.js", "weft.config.mjs", "weft.yaml", "weft.yml"];

/** The description's file in a folder, or the file itself; a weft.yaml with nothing but resources stands beside it. Throws `not_found`. */
export function findDescription(target: string): string {
  if (!existsSync(target))
    throw new WeftError("not_found", `${shownPath(target)}: there is no such folder or file`, { reason: "NO_SYSTEM" });
  if (statSync(target).isFile()) return target;
  const found = NAMES.map((name) => join(target, name)).filter((path) => existsSync(path));
  const modules = found.filter((path) => !isYaml(path));
  if (modules.length === 1 && found.every((path) => !isYaml(path) || holdsOnlyResources(readFileSync(path, "utf8"))))
    return modules[0];
  if (found.length > 1) {
    const names = found.map((path) => basename(path)).join(" and ");
    throw new WeftError("failed_precondition", `${shownPath(target)} has ${names}; keep one of them`, {
      reason: "TWO_SYSTEMS",
    });
  }
  if (found.length === 1) return found[0];
  throw new WeftError(
    "not_found",
    `${shownPath(target)} has no weft.config.ts; name the folder of a system (weft up examples/shop) or write one`,
    {
      reason: "NO_SYSTEM",
    },
  );
}

/** A path as a person would write it here. */
export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short === "" ? "." : short.startsWith("..") ? path : short;
}

function isYaml(file: string): boolean {
  return /\.ya?ml$/.test(file);
}

/** Of the weft.yaml beside a module. */
function resourcesBeside(module: string): readonly ResourceDocument[] {
  const file = NAMES.filter(isYaml)
    .map((name) => join(dirname(module), name))
    .find((path) => existsSync(path));
  return file === undefined ? [] : readSystemYaml(readFileSync(file, "utf8"), shownPath(file)).resources;
}

/** The system that a YAML file describes, if it does, and its other documents: resources. */
function readSystemYaml(text: string, shown: string): { description: unknown; resources: readonly ResourceDocument[] } {
  let documents: readonly ResourceDocument[];
  try {
    documents = readResourceDocuments(text, shown);
  } catch (error) {
    if (!(error instanceof WeftError) || error.place?.line === undefined) throw error;
    throw broken(error.place, error.message.slice(formatPlace(error.place).length + 2), text);
  }
  const [first] = documents;
  if (first !== undefined && isResource(first.value)) return { description: undefined, resources: documents };
  return { description: first?.value ?? null, resources: documents.slice(1) };
}

/** A system's own fields never include a kind. */
function isResource(value: unknown): boolean {
  return typeof value === "object" && value !== null && "kind" in value;
}

function holdsOnlyResources(text: string): boolean {
  try {
    const documents = readResourceDocuments(text, "");
    return documents.length > 0 && documents.every(({ value }) => isResource(value));
  } catch {
    return false;
  }
}

async function importDefault(file: string, shown: string): Promise<unknown> {
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (thrown) {
    throw importError(thrown, file);
  }
  if (module.default === undefined) {
    throw new WeftError(
      "invalid_argument",
      `${shown}:1: exports no system; write: export default defineSystem({ ... })`,
      {
        reason: "INVALID_SYSTEM",
        place: { file: shown, line: 1 },
      },
    );
  }
  return module.default;
}

/** What Node throws for a module that cannot be read or fails, without its stack: the place in the user's files and the lines around it. */
function importError(thrown: unknown, file: string): WeftError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = (error as NodeJS.ErrnoException).code;
  const stack = error.stack ?? "";
  let message = error.message;
  let at: { path: string; line?: number; column?: number } = { path: file };
  const missing = /^Cannot find (?:module|package) '([^']+)'(?: imported from (.+))?$/.exec(message);
  const top = /^(?:file:\/\/)?(\/[^\n]*|[A-Za-z]:[^\n]*):(\d+)\n/.exec(stack);
  if (code === "ERR_MODULE_NOT_FOUND" && missing !== null) {
    const importer = missing[2] ?? file;
    const name = basename(missing[1]);
    const source = existsSync(importer) ? readFileSync(importer, "utf8").split("\n") : [];
    const index = source.findIndex((line) => /\b(import|from)\b/.test(line) && line.includes(name));
    at = { path: importer, ...(index >= 0 && { line: index + 1, column: source[index].indexOf(name) + 1 }) };
    const isPackage = message.startsWith("Cannot find package");
    message = isPackage
      ? `the package ${missing[1]} is not installed; run: npm install ${missing[1]}`
      : `there is no file ${shownPath(missing[1])}`;
  } else if (top !== null) {
    // Syntax errors: Node shows the line and marks the column under it.
    const marker = stack.split("\n").findIndex((line) => /^\s*\^+\s*$/.test(line));
    at = {
      path: top[1],
      line: Number(top[2]),
      ...(marker > 0 && { column: (stack.split("\n")[marker].indexOf("^") ?? 0) + 1 }),
    };
    const sourceLine = marker > 0 ? stack.split("\n")[marker - 1] : "";
    // The number is that of the first line shown; the marked one may come later.
    const text = existsSync(at.path) ? readFileSync(at.path, "utf8").split("\n") : [];
    const near = text.findIndex((line, i) => line === sourceLine && Math.abs(i + 1 - Number(top[2])) <= 2);
    if (near >= 0) at.line = near + 1;
  } else {
    const frame = userFrame(stack);
    if (frame !== null) at = frame;
    if (error.name !== "Error" && !(error instanceof WeftError)) message = `${error.name}: ${message}`;
  }
  const text = existsSync(at.path) ? readFileSync(at.path, "utf8") : "";
  return broken({ file: shownPath(at.path), line: at.line, column: at.column }, message, text, thrown);
}

/** The innermost place of a stack that is not weft's own code (which a builder's error comes from). */
function userFrame(stack: string): { path: string; line: number; column: number } | null {
  for (const [, url, line, column] of stack.matchAll(/(file:\/\/[^\s)]+):(\d+):(\d+)/g)) {
    const path = fileURLToPath(url);
    if (!path.startsWith(WEFT_CODE)) return { path, line: Number(line), column: Number(column) };
  }
  return null;
}

const WEFT_CODE = fileURLToPath(new URL("../", import.meta.url));

function broken(place: Place, message: string, text: string, cause?: unknown): WeftError {
  const where = [place.file, place.line, place.column].filter((part) => part !== undefined).join(":");
  const frame = place.line === undefined || text === "" ? "" : `\n${codeFrame(text, place.line, place.column)}`;
  return new WeftError("invalid_argument", `${where}: ${message}${frame}`, {
    reason: "UNREADABLE_SYSTEM",
    place,
    cause,
  });
}
