import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

const root = join(import.meta.dirname, "..");

/** examples/counter as a process of its own on a free port; what every suite about a server runs against. */
export async function withCounter<T>(use: (port: number, child: ChildProcess) => Promise<T>): Promise<T> {
  return withProcess([join(root, "examples", "counter", "server.ts")], { PORT: `${await freePort()}` }, use);
}

/** A Node process (built JavaScript) that listens on `env.PORT`; it is killed when `use` is done. */
export async function withProcess<T>(
  args: readonly string[],
  env: { PORT: string } & NodeJS.ProcessEnv,
  use: (port: number, child: ChildProcess) => Promise<T>,
): Promise<T> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await Promise.race([
      once(child.stdout, "data"),
      once(child, "exit").then(() => Promise.reject(new Error(`${args[0]} ended before it listened`))),
    ]);
    return await use(Number(env.PORT), child);
  } finally {
    child.kill("SIGKILL");
  }
}
