import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { withProcess } from "./counter.ts";
import { freePort } from "./free-port.ts";
import type { Case, Suite } from "./suite.ts";

const root = join(import.meta.dirname, "..");
const GIGABYTE = 1_000_000_000;
const LIMIT_MB = 150;

/** A gigabyte each way through the data plane with a slow reader: every process stays under 150 MB, and all bytes arrive. */
export const streams: Suite = {
  name: "streams",
  async run() {
    const folder = withoutTypes(["trial/main.ts", "trial/service.ts", "trial/stream.ts", "gen/weft/test/v1/trial.ts"]);
    try {
      return await cases(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function cases(folder: string): Promise<Case[]> {
  const server = join(folder, "trial", "main.mjs");
  const weft = join(root, "dist", "cli", "main.js");
  return withProcess([server], { PORT: `${await freePort()}` }, async (backend, backendProcess) => {
    const port = await freePort();
    const proxy = [weft, "proxy", "--listen", `127.0.0.1:${port}`, "--to", `127.0.0.1:${backend}`, "--h2"];
    return withProcess(proxy, { PORT: `${port}` }, async (_, proxyProcess) => {
      const cases: Case[] = [];
      for (const direction of ["download", "upload"]) {
        const said = await client(join(folder, "trial", "stream.mjs"), direction, port);
        cases.push({
          name: `${direction}: all bytes arrive`,
          ok: said.bytes === GIGABYTE,
          detail: JSON.stringify(said),
        });
        const peaks = { client: said.peakMb, proxy: peakMb(proxyProcess.pid), server: peakMb(backendProcess.pid) };
        for (const [name, mb] of Object.entries(peaks))
          cases.push({
            name: `${direction}: the ${name} stays under ${LIMIT_MB} MB`,
            ok: mb < LIMIT_MB,
            detail: `${mb} MB`,
          });
        console.log(
          `  ${direction}: ${Object.entries(peaks)
            .map(([name, mb]) => `${name} ${mb.toFixed(0)} MB`)
            .join(", ")} at most`,
        );
      }
      return cases;
    });
  });
}

/** These files of this folder as JavaScript: to strip types from what it runs a process takes 25 MB for itself, which says nothing of streams. */
function withoutTypes(files: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "weft-streams-"));
  for (const file of files) {
    const made = join(folder, file.replace(/\.ts$/, ".mjs"));
    const code = stripTypeScriptTypes(readFileSync(join(import.meta.dirname, file), "utf8"));
    mkdirSync(dirname(made), { recursive: true });
    writeFileSync(made, code.replaceAll('.ts"', '.mjs"'));
  }
  writeFileSync(join(folder, "package.json"), "{}"); // a scope of its own, whatever is above it
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules", "weftmesh"));
  return folder;
}

function client(
  program: string,
  direction: string,
  port: number,
): Promise<{ bytes: number; peakMb: number; error?: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, direction, `${port}`, `${GIGABYTE}`],
      { timeout: 280_000 },
      (error, stdout, stderr) => {
        if (error) resolve({ bytes: 0, peakMb: 0, error: stderr || String(error) });
        else resolve(JSON.parse(stdout));
      },
    );
  });
}

/** The most resident memory that a process ever had. */
export function peakMb(pid: number | undefined): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;
}
