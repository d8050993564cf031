import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

const root = join(import.meta.dirname, "..");
/** As published; from its sources when the suites are run so (`node -C weft-source conformance/run.ts`). */
export const weftCommand: readonly string[] = process.execArgv.includes("weft-source")
  ? ["-C", "weft-source", join(root, "src", "cli", "main.ts")]
  : [join(root, "dist", "cli", "main.js")];

/** Longer than any of its services may take, one of which is built at its start. */
const START_MS = 320_000;

/** A system brought up by `weft up` on free ports, as a person would. */
export interface RunningSystem {
  readonly gateway: { readonly host: string; readonly port: number };
  readonly child: ChildProcess;
  /** What `weft ps --json` says. */
  ps(): Promise<PsReport>;
  /** Runs another weft command in the system's folder. `output`: what it printed at all, `stdout` of that what is not for people alone. */
  weft(...args: string[]): Promise<{ status: number; output: string; stdout: string }>;
}

export interface PsReport {
  readonly control: string;
  readonly gatewayAdmin: string;
  /** "dns://127.0.0.1:5353"; null without. */
  readonly dns: string | null;
  readonly instances: readonly {
    readonly id: string;
    readonly service: string;
    readonly pid: number;
    readonly state: string;
  }[];
}

export async function withSystem<T>(folder: string, use: (system: RunningSystem) => Promise<T>): Promise<T> {
  const dir = join(root, folder);
  const child = spawn(process.execPath, [...weftCommand, "up", dir, "--listen", "127.0.0.1:0", "--plain"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  try {
    const ready = new Promise<URL>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on("line", (line) => {
          printed = `${printed}${line}\n`.slice(-8_000);
          const url = /^ready (http:\/\/\S+)/.exec(line)?.[1];
          if (url !== undefined) resolve(new URL(url));
        });
      }
      child.once("exit", (code) => reject(new Error(`weft up ended with ${code}:\n${printed}`)));
      // It hangs then: it says itself what is not ready in time.
      const late = () => reject(new Error(`weft up was not ready after ${START_MS} ms:\n${printed}`));
      setTimeout(late, START_MS).unref();
    });
    const url = await ready;
    const run = (...args: string[]) =>
      new Promise<{ status: number; output: string; stdout: string }>((resolve) => {
        execFile(process.execPath, [...weftCommand, ...args], { cwd: dir, timeout: 90_000 }, (error, stdout, stderr) =>
          resolve({ status: error === null ? 0 : 1, output: stdout + stderr, stdout }),
        );
      });
    return await use({
      gateway: { host: url.hostname, port: Number(url.port) },
      child,
      weft: run,
      async ps() {
        const { status, output, stdout } = await run("ps", "--json");
        if (status !== 0) throw new Error(`weft ps failed: ${output}`);
        return JSON.parse(stdout);
      },
    });
  } finally {
    child.kill("SIGTERM");
    const cut = setTimeout(() => child.kill("SIGKILL"), 30_000);
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    clearTimeout(cut);
  }
}
