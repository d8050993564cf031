import { createHash } from "node:crypto";
import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { WeftError } from "../core/errors.ts";
import { KNOWN_FOLDER } from "./launch.ts";
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
  // Who is refused is in its log a second later, not ten.
  const log = ["--log-level", "warning", "--file-flush-interval-msec", "1000"];
  const args = ["-c", file, "--disable-hot-restart", ...log, "--concurrency", "1"];
  return { command, args, cwd: bootstrap.cwd, env: bootstrap.env };
}

/**
 * Where an Envoy's administration interface listens: a socket that its owner alone can use, for it shows the join token to whoever gets to it. In the state folder, or for one whose
 * path is too long for a socket in the folder for temporary files.
 */
export function adminSocketOf(stateDir: string, id: string): string {
  const path = resolve(stateDir, KNOWN_FOLDER, `${id}.admin`);
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path;
  return join(tmpdir(), `weft-${createHash("sha256").update(path).digest("hex").slice(0, 24)}.admin`);
}

/** Of sockets' files on Linux and macOS, which has the shorter ones. */
const MAX_SOCKET_PATH = 103;

/**
 * Whether an Envoy has its first configuration and takes calls for its application: one that could not listen (somebody has the port for a moment) calls itself ready, and
 * does not try again by itself.
 */
export async function envoyIsReady(admin: string): Promise<boolean> {
  if ((await ask(admin, "/ready", "GET")) === null) return false;
  return /^inbound::/m.test((await ask(admin, "/listeners", "GET")) ?? "");
}

/**
 * Has an Envoy take no more calls for its application, and waits until those in flight are done, at most `drainMs`. What the application calls goes on. One that is gone says so at
 * once; one that does not answer yet is busy, and takes calls.
 */
export async function drainEnvoy(admin: string, drainMs: number, wait: (ms: number) => Promise<void>): Promise<void> {
  const patienceMs = Math.max(ASK_TIMEOUT_MS, drainMs);
  if ((await ask(admin, "/drain_listeners?inboundonly", "POST", patienceMs)) === null) return;
  const active = `/stats?filter=${encodeURIComponent("^http\\.inbound.*downstream_rq_active$")}`;
  for (let waited = 0; waited < drainMs; waited += DRAIN_LOOK_MS) {
    const stats = await ask(admin, active, "GET", patienceMs);
    if (stats === null || [...stats.matchAll(/: (\d+)$/gm)].every(([, active]) => active === "0")) return;
    await wait(DRAIN_LOOK_MS);
  }
}

const DRAIN_LOOK_MS = 100;
const ASK_TIMEOUT_MS = 1_000;

/** Null: no answer, or not the one wanted. */
function ask(
  admin: string,
  path: string,
  method: "GET" | "POST",
  timeoutMs: number = ASK_TIMEOUT_MS,
): Promise<string | null> {
  return new Promise((answer) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const asking = request({ socketPath: admin, path, method, signal, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("error", () => answer(null));
      response.on("end", () => answer(response.statusCode === 200 ? text : null));
    });
    asking.on("error", () => answer(null));
    asking.end();
  });
}
