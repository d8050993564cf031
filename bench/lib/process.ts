import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";

export { freePort } from "../../conformance/free-port.ts";

/** A server under measurement: started by us, on loopback, and stopped by its process id. */
export interface Measured {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts `command` and waits until `port` accepts connections. What it prints is shown only when it fails to. */
export async function start(
  name: string,
  port: number,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Measured> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => (output = (output + chunk).slice(-4_000)));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  process.setMaxListeners(0); // one for each server, until the benches are done
  process.once("exit", () => child.kill("SIGKILL"));
  await waitForPort(port, child, () => `${name} did not listen on ${port}:\n${output}`);
  return {
    name,
    pid: child.pid as number,
    port,
    async stop() {
      child.kill("SIGTERM");
      const cut = setTimeout(() => child.kill("SIGKILL"), 2_000);
      await ended;
      clearTimeout(cut);
    },
  };
}

async function waitForPort(port: number, child: ChildProcess, message: () => string): Promise<void> {
  const until = performance.now() + 20_000;
  while (performance.now() < until && child.exitCode === null) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  child.kill("SIGKILL");
  throw new Error(message());
}

/** CPU time that a process (all its threads) has used so far, in microseconds; from /proc. */
export function cpuMicros(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) total += nanosOf(`/proc/${pid}/task/${thread}/schedstat`);
  return total / 1_000;
}

/** 0 of a thread that has ended since it was listed, as those do that were made for one piece of work. */
function nanosOf(schedstat: string): number {
  try {
    return Number(readFileSync(schedstat, "utf8").split(" ")[0]);
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return 0;
    throw error;
  }
}

/** Resident memory of a process, MB. */
export function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;
}

/** The path of an installed program, or null. */
export function which(program: string): string | null {
  const found = spawnSync("sh", ["-c", `PATH="$PATH:/usr/sbin" command -v ${program}`], { encoding: "utf8" });
  return found.status === 0 ? found.stdout.trim() : null;
}
