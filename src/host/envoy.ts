import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { WeftError } from "../core/errors.ts";
import { type ProcessSpec, startProcess } from "./process.ts";

/** The Envoy that WEFT_ENVOY names, or that of the PATH; null: there is none. */
export function findEnvoy(env: Readonly<Record<string, string | undefined>> = process.env): string | null {
  const named = env.WEFT_ENVOY ?? "";
  if (named !== "") return isExecutable(named) ? named : null;
  for (const folder of (env.PATH ?? "").split(delimiter)) {
    const file = join(folder, "envoy");
    if (folder !== "" && isExecutable(file)) return file;
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What to do where there is no Envoy. */
export const NO_ENVOY =
  "there is no envoy: install it, name it by WEFT_ENVOY=/path/to/envoy, or take weft's own sidecar: sidecar: true";

/**
 * Runs `weft envoy-bootstrap` (`bootstrap`) and keeps what it prints in `file`, which only its owner may read: it has the token by which Envoy joins. Gives the process
 * that runs Envoy with it.
 */
export async function envoyProcess(bootstrap: ProcessSpec, file: string): Promise<ProcessSpec> {
  const command = findEnvoy();
  if (command === null) throw new WeftError("failed_precondition", NO_ENVOY, { reason: "ENVOY_MISSING" });
  const out: string[] = [];
  const err: string[] = [];
  const reason = await new Promise<string>((resolve) => {
    startProcess(bootstrap, { onLine: (stream, line) => (stream === "out" ? out : err).push(line), onExit: resolve });
  });
  if (reason !== "exit status 0")
    throw new WeftError("failed_precondition", `weft envoy-bootstrap: ${err.at(-1) ?? reason}`, {
      reason: "NO_BOOTSTRAP",
    });
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, `${out.join("\n")}\n`, { mode: 0o600 });
  const args = ["-c", file, "--disable-hot-restart", "--log-level", "warning", "--concurrency", "1"];
  return { command, args, cwd: bootstrap.cwd, env: bootstrap.env };
}

/** Whether an Envoy has its first configuration and takes calls. `admin`: a port of 127.0.0.1. */
export async function envoyIsReady(admin: number): Promise<boolean> {
  return (await ask(admin, "/ready", "GET")) !== null;
}

/** Has an Envoy take no more calls for its application, and waits until those in flight are done, at most `drainMs`. What the application calls goes on. */
export async function drainEnvoy(admin: number, drainMs: number, wait: (ms: number) => Promise<void>): Promise<void> {
  if ((await ask(admin, "/drain_listeners?inboundonly", "POST")) === null) return;
  for (let waited = 0; waited < drainMs; waited += DRAIN_LOOK_MS) {
    const stats = await ask(
      admin,
      `/stats?filter=${encodeURIComponent("^http\\.inbound.*downstream_rq_active$")}`,
      "GET",
    );
    if (stats === null || [...stats.matchAll(/: (\d+)$/gm)].every(([, active]) => active === "0")) return;
    await wait(DRAIN_LOOK_MS);
  }
}

const DRAIN_LOOK_MS = 100;
const ASK_TIMEOUT_MS = 1_000;

/** Null: no answer, or not the one wanted. */
async function ask(admin: number, path: string, method: "GET" | "POST"): Promise<string | null> {
  try {
    const signal = AbortSignal.timeout(ASK_TIMEOUT_MS);
    const response = await fetch(`http://127.0.0.1:${admin}${path}`, { method, signal });
    const text = await response.text();
    return response.ok ? text : null;
  } catch {
    return null;
  }
}
