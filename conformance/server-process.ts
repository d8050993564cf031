import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HurtableServer } from "./registry-faults.ts";
import { wait } from "./registry-plane.ts";

/** What starting a server takes beside its arguments. */
export interface Launch {
  /** Whether it answers, asked again and again. */
  ready: () => Promise<boolean>;
  /** Says that it hangs, not that it is slow: a JVM or a cluster takes 20 s where others want the processors, too. Default 60,000. */
  withinMs?: number;
  options?: SpawnOptions;
}

/** A real server that is a process of its own, on 127.0.0.1, which keeps what it holds in a folder that goes with it, and can be hurt. */
export abstract class ServerProcess implements HurtableServer {
  readonly port: number;
  readonly #name: string;
  /** Of all its files; what it holds is in `data` below it. */
  protected readonly folder: string;
  protected child: ChildProcess | null = null;

  /** `name`: for messages, "etcd". */
  protected constructor(name: string, port: number) {
    this.#name = name;
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), `weft-${name.toLowerCase()}-`));
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  protected get data(): string {
    return join(this.folder, "data");
  }

  abstract start(): Promise<void>;

  /** Resolves when it answers; it is stopped when it does not in time. */
  protected async launch(
    command: string,
    args: readonly string[],
    { ready, withinMs = 60_000, options }: Launch,
  ): Promise<void> {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], ...options });
    this.child = child;
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      said = `${said}${text}`.slice(-1_000);
    });
    const until = performance.now() + withinMs;
    while (performance.now() < until && child.exitCode === null) {
      if (await ready()) return;
      await wait(25);
    }
    await this.stop();
    throw new Error(`${this.#name} does not start: ${said}`);
  }

  /** kill -9 */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child === null) return;
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }

  pause(): void {
    this.child?.kill("SIGSTOP");
  }

  resume(): void {
    this.child?.kill("SIGCONT");
  }

  /** What it held is gone when it starts again. */
  lose(): void | Promise<void> {
    rmSync(this.data, { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Starts servers that are one, which wait for each other: when one does not start, none is left. */
export async function startTogether(servers: readonly ServerProcess[]): Promise<void> {
  try {
    await Promise.all(servers.map((server) => server.start()));
  } catch (error) {
    for (const server of servers) await server.stop();
    throw error;
  }
}
