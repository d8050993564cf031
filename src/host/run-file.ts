import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processExists } from "./process.ts";

/** What `.weft/run.json` says of a running system, for the commands that talk to it. Only its owner may read it, for the token's sake. */
export interface RunFile {
  readonly system: string;
  readonly pid: number;
  /** URL of the host's own interface (host-server.ts). */
  readonly host: string;
  readonly token: string;
  readonly control: string | null;
  readonly gateway: string | null;
  readonly gatewayAdmin: string | null;
  readonly startedAt: string;
}

function runFilePath(stateDir: string): string {
  return join(stateDir, "run.json");
}

export function writeRunFile(stateDir: string, run: RunFile): void {
  mkdirSync(stateDir, { recursive: true });
  // Renamed into place: a reader never sees half of it.
  const fresh = `${runFilePath(stateDir)}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(run, null, 2)}\n`, { mode: 0o600 });
  renameSync(fresh, runFilePath(stateDir));
}

/** The running system of a folder; null when there is none. A file left by a host that is gone counts as none. */
export function readRunFile(stateDir: string): RunFile | null {
  let run: RunFile;
  try {
    run = JSON.parse(readFileSync(runFilePath(stateDir), "utf8")) as RunFile;
  } catch {
    return null;
  }
  if (
    typeof run !== "object" ||
    run === null ||
    typeof run.pid !== "number" ||
    typeof run.host !== "string" ||
    typeof run.token !== "string"
  )
    return null;
  return processExists(run.pid) ? run : null;
}

export function removeRunFile(stateDir: string): void {
  rmSync(runFilePath(stateDir), { force: true });
}
