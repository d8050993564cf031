import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { type FileDescriptorSet, FileDescriptorSetSchema, fromBinary } from "../../contract/runtime.ts";
import type { Place } from "../../core/errors.ts";
import { WeftError } from "../../core/errors.ts";
import { runTool } from "./tools.ts";

/** Contracts compiled to descriptors (with source info), or the reasons why they are not. */
export interface Compiled {
  readonly descriptors: FileDescriptorSet;
  /** Names of the files that are the project's own, as imports name them: "counter/v1/counter.proto". */
  readonly own: readonly string[];
  /** Where each own file lies on disk. */
  readonly paths: ReadonlyMap<string, string>;
  readonly problems: readonly Problem[];
}

/** Something wrong in a contract, with its place and what to do about it. */
export interface Problem {
  readonly place: Place;
  readonly message: string;
}

/**
 * Compiles all .proto files of `roots` with `buf build`. The google/ files of `bundled` can be imported too, unless a root has a file
 * of the same name. buf wants one workspace, so the files are copied into a temporary one: a project's own buf.yaml is not consulted.
 */
export async function compileContracts(roots: readonly string[], bundled: string, cwd: string): Promise<Compiled> {
  const paths = new Map<string, string>();
  const problems: Problem[] = [];
  for (const root of roots) {
    for (const name of await protoFiles(root)) {
      const path = join(root, name);
      const other = paths.get(name);
      if (other === undefined) paths.set(name, path);
      else problems.push({ place: { file: path }, message: `${name} is also in ${relative(cwd, other)}; keep one of them` });
    }
  }
  if (paths.size === 0) {
    const where = roots.map((root) => relative(cwd, root) || ".").join(", ");
    throw new WeftError("not_found", `no .proto files in ${where}; write one or name another folder (weft gen --proto <folder>)`, {
      reason: "NO_CONTRACTS",
      place: { file: where },
    });
  }
  const work = await mkdtemp(join(tmpdir(), "weft-gen-"));
  try {
    for (const [name, path] of paths) await copy(path, join(work, "own", name));
    const extra = (await protoFiles(bundled)).filter((name) => name.startsWith("google/") && !paths.has(name));
    for (const name of extra) await copy(join(bundled, name), join(work, "bundled", name));
    const modules = extra.length === 0 ? ["own"] : ["own", "bundled"];
    await writeFile(join(work, "buf.yaml"), `version: v2\nmodules:\n${modules.map((path) => `  - path: ${path}\n`).join("")}`);
    const result = await runTool("@bufbuild/buf", "buf", ["build", "-o", "image.binpb", "--as-file-descriptor-set", "--error-format=json"], {
      cwd,
      workFolder: work,
      // Everything buf might want is here: a cache of its own keeps it from reading the user's credentials and from the network.
      env: { BUF_CACHE_DIR: join(work, "cache"), HOME: work, NETRC: join(work, "netrc") },
    });
    if (result.status !== 0) problems.push(...parseProblems(result.stdout.toString() + result.stderr, paths));
    const descriptors = result.status === 0 ? await readFile(join(work, "image.binpb")) : new Uint8Array();
    return { descriptors: fromBinary(FileDescriptorSetSchema, descriptors), own: [...paths.keys()].sort(), paths, problems };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to);
}

async function protoFiles(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".proto"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((name) => !name.split("/").includes("node_modules"))
    .sort();
}

/** buf's --error-format=json: one object a line; anything else it says is kept as it is. */
function parseProblems(output: string, paths: ReadonlyMap<string, string>): Problem[] {
  const problems: Problem[] = [];
  for (const line of output.split("\n")) {
    if (line.trim() === "") continue;
    let entry: { path?: string; start_line?: number; start_column?: number; message?: string };
    try {
      entry = JSON.parse(line);
    } catch {
      problems.push({ place: {}, message: line });
      continue;
    }
    const name = (entry.path ?? "").replace(/^(own|bundled)\//, "");
    const message = entry.message ?? "invalid";
    problems.push({
      place: { file: paths.get(name) ?? name, line: entry.start_line, column: entry.start_column },
      message: message + suggestion(message),
    });
  }
  return problems;
}

/** What to do about buf's commonest complaints. */
function suggestion(message: string): string {
  if (/(imported file does not exist|file does not exist|no such file)/.test(message)) {
    return "; imports are relative to the contracts' folder, and google/api, google/rpc and google/protobuf are there without being installed";
  }
  const unknown = /cannot find `([^`]+)`/.exec(message);
  if (unknown !== null) {
    if (/^u?int(8|16|63)?$|^long$|^number$/.test(unknown[1])) return "; did you mean int32 or int64?";
    if (/^(float32|float64|decimal)$/.test(unknown[1])) return "; did you mean float or double?";
    if (/^(str|text|String|varchar)$/.test(unknown[1])) return "; did you mean string?";
    if (/^boolean$/.test(unknown[1])) return "; did you mean bool?";
    return "; declare it, or import the file that does";
  }
  return "";
}
