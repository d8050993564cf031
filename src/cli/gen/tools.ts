import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { WeftError } from "../../core/errors.ts";

export interface ToolResult {
  status: number;
  stdout: Buffer;
  stderr: string;
}

export interface ToolOptions {
  /** The project: its packages are looked at first, then weft's own. */
  cwd: string;
  /** Where the tool runs. Default: `cwd`. */
  workFolder?: string;
  env?: Record<string, string>;
  input?: Uint8Array;
}

/**
 * Runs the JavaScript command `bin` of an installed package with the Node that runs us, and collects what it says.
 * Throws failed_precondition (TOOL_MISSING) with the command that installs it.
 */
export function runTool(pkg: string, bin: string, args: readonly string[], options: ToolOptions): Promise<ToolResult> {
  const script = findBin(pkg, bin, options.cwd);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], {
      cwd: options.workFolder ?? options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const stdout: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on("error", (cause) =>
      reject(new WeftError("failed_precondition", `cannot run ${bin}: ${cause.message}`, { reason: "TOOL_FAILED", cause })),
    );
    child.on("close", (status) => resolve({ status: status ?? -1, stdout: Buffer.concat(stdout), stderr }));
    child.stdin.on("error", () => {}); // a tool that exits early says why on stderr
    child.stdin.end(options.input ?? new Uint8Array());
  });
}

function findBin(pkg: string, bin: string, cwd: string): string {
  for (const from of [join(cwd, "package.json"), import.meta.filename]) {
    try {
      const manifest = createRequire(from).resolve(`${pkg}/package.json`);
      const { bin: bins } = JSON.parse(readFileSync(manifest, "utf8")) as { bin: Record<string, string> };
      const path = join(dirname(manifest), bins[bin]);
      if (existsSync(path)) return path;
    } catch {
      // not installed there
    }
  }
  throw new WeftError(
    "failed_precondition",
    `weft gen needs ${pkg}, which is not installed; run: npm install --save-dev @bufbuild/buf @bufbuild/protoc-gen-es`,
    { reason: "TOOL_MISSING" },
  );
}
