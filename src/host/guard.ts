import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * Sees to it that nothing outlives the host, even when the host is killed outright: a small process of its own that knows every
 * process group that runs and holds the reading end of a pipe from the host. When the pipe closes, the host is gone, and the
 * guard ends every group that is left (guard-main.ts). Works for children in any language and for stuck ones.
 */
export class Guard {
  readonly #pids = new Set<number>();
  readonly #graceMs: number;
  #child: ChildProcess | null = null;
  #closed = false;

  /** `graceMs`: time between SIGTERM and SIGKILL once the host is gone. Default 2,000. */
  constructor(graceMs = 2_000) {
    this.#graceMs = graceMs;
    this.#start();
  }

  watch(pid: number): void {
    if (pid <= 0) return;
    this.#pids.add(pid);
    this.#send(`+${pid}\n`);
  }

  forget(pid: number): void {
    if (this.#pids.delete(pid)) this.#send(`-${pid}\n`);
  }

  /** Ends the guard; every group that is still watched is ended by it. */
  close(): void {
    this.#closed = true;
    this.#child?.stdin?.end();
    this.#child?.unref();
  }

  #send(text: string): void {
    this.#child?.stdin?.write(text);
  }

  #start(): void {
    const path = fileURLToPath(
      new URL(import.meta.url.endsWith(".ts") ? "./guard-main.ts" : "./guard-main.js", import.meta.url),
    );
    const child = spawn(process.execPath, [path, String(this.#graceMs)], {
      detached: true,
      windowsHide: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#child = child;
    child.stdin.on("error", () => {}); // the exit says it
    child.on("error", () => {});
    child.on("exit", () => {
      if (!this.#closed) this.#start();
    });
    for (const pid of this.#pids) this.#send(`+${pid}\n`);
  }
}
