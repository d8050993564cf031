import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Place } from "../../core/errors.ts";
import { WeftError } from "../../core/errors.ts";
import { compileContracts, type Problem } from "./compile.ts";
import { checkRules } from "./check-rules.ts";
import { runPlugin } from "./plugin.ts";
import { rewriteImports } from "./rewrite.ts";

export interface GenerateOptions {
  /** Folders with .proto files; file names in imports are relative to them. Default: ["proto"]. */
  roots?: readonly string[];
  /** Folder for the generated TypeScript; it belongs to the generator. Default: "gen". */
  out?: string;
  /** Compare only, write nothing: throws failed_precondition (STALE) when a file differs, is missing or is left over. Default: false. */
  check?: boolean;
  /** Where relative paths above start, and from where buf is looked up. Default: the current folder. */
  cwd?: string;
  /** What generated code imports: a package specifier, or a path relative to `out` that starts with ".". Default: "weftmesh/contract". */
  runtime?: string;
}

export interface GenerateResult {
  /** Paths relative to `out`, sorted: "counter/v1/counter.ts". */
  files: string[];
  /** Of these, the ones that were written because they differed; always empty with `check`. */
  written: string[];
  /** Left-over generated files that were removed. */
  removed: string[];
}

/**
 * Compiles contracts to TypeScript: `proto/counter/v1/counter.proto` becomes `gen/counter/v1/counter.ts`. Needs buf and protoc-gen-es,
 * as packages of the project; never the network. google/api and google/rpc come with weft and need no dependency.
 *
 * Throws WeftError: invalid_argument with every problem of the contracts and the place of the first; failed_precondition when a tool is
 * missing (TOOL_MISSING) or the output is stale (STALE).
 */
export async function generate(options: GenerateOptions = {}): Promise<GenerateResult> {
  const cwd = options.cwd ?? process.cwd();
  const roots = (options.roots ?? ["proto"]).map((root) => join(cwd, root));
  const out = join(cwd, options.out ?? "gen");
  const image = await compileContracts(roots, BUNDLED_PROTO, cwd);
  failOn([...image.problems, ...checkRules(image)], cwd);

  const wanted = new Map<string, string>();
  for (const file of await runPlugin(image, cwd)) {
    const path = file.name.replace(/_pb\.ts$/, ".ts");
    wanted.set(path, rewriteImports(file.content, path, options.runtime ?? "weftmesh/contract", new Set(image.own)));
  }
  const present = await generatedFiles(out);
  const stale = [...wanted.keys()].filter((path) => present.get(path) !== wanted.get(path));
  const leftOver = [...present.keys()].filter((path) => !wanted.has(path));
  const files = [...wanted.keys()].sort();
  if (options.check === true) {
    if (stale.length + leftOver.length === 0) return { files, written: [], removed: [] };
    const names = [...stale, ...leftOver].map((path) => relative(cwd, join(out, path)));
    throw new WeftError("failed_precondition", `generated code is stale: ${names.join(", ")}; run \`weft gen\` and commit the result`, {
      reason: "STALE",
      place: { file: names[0] },
    });
  }
  for (const path of stale) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await writeFile(join(out, path), wanted.get(path) as string);
  }
  for (const path of leftOver) await rm(join(out, path));
  return { files, written: stale.sort(), removed: leftOver.sort() };
}

/** weft's own contracts (and google/api, google/rpc), beside src/ and dist/ alike. */
const BUNDLED_PROTO = fileURLToPath(new URL("../../../proto/", import.meta.url));

/** Throws all problems as one error, which stands at the place of the first. */
function failOn(problems: readonly Problem[], cwd: string): void {
  if (problems.length === 0) return;
  const lines = problems.map((problem) => {
    const place: Place = problem.place;
    const file = place.file === undefined ? "" : relative(cwd, place.file);
    const where = [file, place.line, place.column].filter((part) => part !== undefined && part !== "").join(":");
    return where === "" ? problem.message : `${where}: ${problem.message}`;
  });
  const first = problems[0].place;
  throw new WeftError("invalid_argument", lines.join("\n"), {
    reason: "BAD_CONTRACT",
    place: { ...first, ...(first.file === undefined ? {} : { file: relative(cwd, first.file) }) },
  });
}

/** Files under `out` that this generator made: path -> content. Anything else there is left alone. */
async function generatedFiles(out: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const entries = await readdir(out, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile() || !entry.name.endsWith(".ts")) continue;
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path, "utf8");
    if (/^\/\/ @generated by protoc-gen-es/m.test(content)) found.set(relative(out, path).split(sep).join("/"), content);
  }
  return found;
}
