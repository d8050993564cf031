import { type ChildProcess, execFile } from "node:child_process";

/** Says that something hangs, not that it is slow: the table of the example is of 2,000 calls, and first builds are among the commands. */
const HANGS_MS = 240_000;

/** Runs a command to its end. */
export function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: HANGS_MS, env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : 1, output: stdout + stderr }),
    );
  });
}

/** Resolves once a child prints what is waited for. */
export function said(child: ChildProcess, what: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = "";
    const timer = setTimeout(() => reject(new Error(`nothing like ${what}: ${printed}`)), HANGS_MS);
    child.stdout?.setEncoding("utf8").on("data", (chunk) => {
      printed += chunk;
      if (!what.test(printed)) return;
      clearTimeout(timer);
      resolve();
    });
    child.once("exit", (code) => reject(new Error(`it ended with ${code}: ${printed}`)));
  });
}

/** Whether it comes to pass in time. */
export async function until(ms: number, done: () => Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await done().catch(() => false)) return true;
    await pause(300);
  }
  return false;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
