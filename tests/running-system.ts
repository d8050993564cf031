import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { createHostClient, type HostClient, type HostStatus } from "../src/host/host-client.ts";
import { isRunning } from "../src/host/is-running.case.ts";
import { readRunFile } from "../src/host/run-file.ts";

const MAIN = join(import.meta.dirname, "..", "src", "cli", "main.ts");

/** One JSON event of `weft up --json`. */
export type UpEvent = { readonly type: string; readonly [field: string]: unknown };

/** Runs a weft command to its end. */
export async function weft(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ["-C", "weft-source", MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const [status] = await once(child, "close");
  return { status, stdout, stderr };
}

/** `weft up` as a process, on free ports and with a state folder of its own. Killed at the end of the test, should it still run. */
export class RunningSystem {
  readonly events: UpEvent[] = [];
  readonly state: string;
  readonly child: ChildProcess;
  readonly exit: Promise<{ status: number | null; signal: string | null }>;
  readonly #listeners = new Set<() => void>();
  gateway = "";

  constructor(t: TestContext, target: string, ...args: string[]) {
    this.state = mkdtempSync(join(tmpdir(), "weft-up-"));
    const all = [
      "-C",
      "weft-source",
      MAIN,
      "up",
      target,
      "--json",
      "--listen",
      "127.0.0.1:0",
      "--state",
      this.state,
      ...args,
    ];
    const child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "inherit"] });
    this.child = child;
    this.exit = once(child, "exit").then(([status, signal]) => {
      for (const listener of this.#listeners) listener();
      return { status, signal };
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.events.push(JSON.parse(line));
      for (const listener of this.#listeners) listener();
    });
    t.after(async () => {
      child.kill("SIGKILL"); // its guard ends what is left
      await this.exit;
      rmSync(this.state, { recursive: true, force: true, maxRetries: 10 });
    });
  }

  /** Waits for an event; fails with what happened instead when the system ends first. */
  async event(matches: (event: UpEvent) => boolean, from = 0): Promise<UpEvent> {
    for (;;) {
      const found = this.events.slice(from).find(matches);
      if (found !== undefined) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        assert.fail(`weft up has ended: ${JSON.stringify(this.events.slice(-15), null, 1)}`);
      }
      await new Promise<void>((resolve) => {
        const listener = (): void => {
          this.#listeners.delete(listener);
          resolve();
        };
        this.#listeners.add(listener);
      });
    }
  }

  async ready(): Promise<string> {
    const event = await this.event(({ type }) => type === "system-ready");
    this.gateway = String(event.gateway);
    return this.gateway;
  }

  host(): HostClient {
    const run = readRunFile(this.state);
    assert.ok(run !== null, "there is no run file");
    return createHostClient(run);
  }

  async instances(): Promise<HostStatus["instances"]> {
    return (await this.host().status()).instances;
  }

  /** Ids of every process of the system. */
  async pids(): Promise<number[]> {
    return (await this.instances()).map(({ pid }) => pid).filter((pid) => pid > 0);
  }
}

/** Fails unless every process is gone soon. One that nobody has waited for yet (a zombie) is gone. */
export async function assertGone(pids: readonly number[]): Promise<void> {
  const left = (): number[] => pids.filter(isRunning);
  for (let i = 0; i < 100 && left().length > 0; i++) await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(left(), [], "processes are left running");
}
