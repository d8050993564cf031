import { spawn } from "node:child_process";
import { WeftError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";

export interface GitAnswer {
  readonly status: number;
  readonly out: Buffer;
  /** What it said of errors, at most MAX_SAID characters. */
  readonly said: string;
}

/**
 * Runs `git` in a repository, with its arguments as they are (no shell), and nobody to ask for a password. Rejects `failed_precondition` (GIT_MISSING) without the program,
 * `deadline_exceeded` after `timeoutMs`, `resource_exhausted` for more than MAX_OUT_BYTES; how it ended is for the caller to look at.
 */
export function runGit(
  folder: string,
  args: readonly string[],
  input: Uint8Array | string = "",
  timeoutMs = 30_000,
): Promise<GitAnswer> {
  return new Promise((resolve, reject) => {
    const git = spawn("git", ["-C", folder, ...SAFE, ...args], { env: environment(), stdio: "pipe" });
    const parts: Buffer[] = [];
    let size = 0;
    let said = "";
    const fail = (error: WeftError): void => {
      clearTimeout(timer);
      git.kill("SIGKILL");
      reject(error);
    };
    const timer = setTimeout(() => {
      const text = `git ${args[0]} in ${folder} has not ended within ${timeoutMs} ms`;
      fail(new WeftError("deadline_exceeded", text, { reason: "GIT_SLOW" }));
    }, timeoutMs);
    git.on("error", (cause: NodeJS.ErrnoException) => {
      const missing = cause.code === "ENOENT";
      const text = missing
        ? "git is not installed, or not on the PATH; revisions in a repository need it"
        : cause.message;
      fail(new WeftError("failed_precondition", text, { reason: missing ? "GIT_MISSING" : "GIT_FAILED", cause }));
    });
    git.stdout.on("data", (part: Buffer) => {
      size += part.byteLength;
      if (size > MAX_OUT_BYTES)
        fail(
          new WeftError("resource_exhausted", `git ${args[0]} in ${folder} says too much`, { reason: "GIT_TOO_LARGE" }),
        );
      else parts.push(part);
    });
    git.stderr.on("data", (part: Buffer) => {
      if (said.length < MAX_SAID) said = (said + part.toString()).slice(0, MAX_SAID);
    });
    git.on("close", (code) => {
      clearTimeout(timer);
      resolve({ status: code ?? -1, out: Buffer.concat(parts), said: shown(said) });
    });
    git.stdin.on("error", () => {}); // it ended before it had read everything: its status says why
    git.stdin.end(input);
  });
}

/** What belongs to another repository, or would ask a person, is left out; so are weft's own variables, some of which are secrets that no hook and no helper need. */
function environment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, LC_ALL: "C", GIT_TERMINAL_PROMPT: "0", GIT_OPTIONAL_LOCKS: "0" };
  for (const name of [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
  ])
    delete env[name];
  for (const name of Object.keys(env)) if (name.startsWith("WEFT_")) delete env[name];
  return env;
}

/** What a remote says is shown by it, too; and a url may hold a password. */
function shown(said: string): string {
  return printable(
    said
      .trim()
      .replace(/\/\/[^/\s@]{0,512}@/g, "//")
      .replaceAll("\n", "; "),
    MAX_SAID,
  );
}

/** What stands in a repository is not run: no hook, no monitor of files, no remote that is a command. How one gets access (ssh, credential helpers) is the operator's. */
const SAFE = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never"];
const MAX_OUT_BYTES = 268_435_456;
const MAX_SAID = 4_096;
