import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { freePort } from "../free-port.ts";
import { wait } from "../registry-plane.ts";
import { ServerProcess } from "../server-process.ts";

/** A real PostgreSQL (Debian's package "postgresql") on a free port of 127.0.0.1, that can be hurt. Its user and database are "postgres", with the password "secret". */
export class PostgresServer extends ServerProcess {
  static async start(): Promise<PostgresServer> {
    const server = new PostgresServer(await freePort());
    server.#create();
    await server.start();
    return server;
  }

  private constructor(port: number) {
    super("PostgreSQL", port);
  }

  static url(address: string): string {
    return `postgres://postgres:secret@${address}/postgres`;
  }

  async start(): Promise<void> {
    const set = (name: string, value: string): string[] => ["-c", `${name}=${value}`];
    const quick = [...set("fsync", "off"), ...set("full_page_writes", "off"), ...set("shared_buffers", "16MB")];
    const where = [...set("listen_addresses", "127.0.0.1"), ...set("unix_socket_directories", "")];
    const quiet = [...set("log_min_messages", "panic"), ...set("max_connections", "200"), ...set("autovacuum", "off")];
    const args = ["-D", this.data, "-p", String(this.port), ...where, ...quick, ...quiet];
    const options = { cwd: this.folder, ...person() };
    await this.launch(join(BIN, "postgres"), args, { ready: () => answers(this.port), options });
  }

  /** SIGKILL to all of its processes: as by a power cut, but for the disk. */
  override async kill(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child === null) return;
    // Stopped first, it makes no more of them. While one of them ends, another one may be left out of the list.
    signal(Number(child.pid), "SIGSTOP");
    for (let alive = sessionsOf(child); alive.length > 0; alive = sessionsOf(child).filter(isAlive)) {
      for (const pid of alive) signal(pid, "SIGKILL");
      await wait(5);
    }
    signal(Number(child.pid), "SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    rmSync(join(this.data, "postmaster.pid"), { force: true });
  }

  /** It takes along the memory that it shares, which outlives a process that is killed, for as long as the machine runs. */
  override async stop(): Promise<void> {
    const { child } = this;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      this.resume();
      const ended = once(child, "exit", { signal: AbortSignal.timeout(5_000) }).catch(() => {});
      signal(Number(child.pid), "SIGQUIT");
      await ended;
    }
    await super.stop();
  }

  override pause(): void {
    if (this.child === null) return;
    signal(Number(this.child.pid), "SIGSTOP");
    for (const pid of sessionsOf(this.child)) signal(pid, "SIGSTOP");
  }

  override resume(): void {
    if (this.child === null) return;
    for (const pid of [...sessionsOf(this.child), Number(this.child.pid)]) signal(pid, "SIGCONT");
  }

  override lose(): void {
    super.lose();
    this.#create();
  }

  #create(): void {
    if (!existsSync(BIN)) throw new Error("there is no PostgreSQL: apt-get install postgresql-15");
    const { uid, gid } = person();
    if (uid !== undefined && gid !== undefined) execFileSync("chown", [`${uid}:${gid}`, this.folder]);
    const options = [
      "-D",
      this.data,
      "-U",
      "postgres",
      "--auth=scram-sha-256",
      "--no-sync",
      "--encoding=UTF8",
      "--locale=C",
    ];
    // The password by a file that goes with the folder.
    execFileSync(
      "sh",
      [
        "-c",
        `umask 077; echo secret > "$0/password"; exec "$@" --pwfile="$0/password"`,
        this.folder,
        join(BIN, "initdb"),
        ...options,
      ],
      {
        stdio: "ignore",
        ...person(),
      },
    );
  }
}

/** Its sessions, and what it does beside, are processes of their own. */
function sessionsOf({ pid }: ChildProcess): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it ended by itself
  }
}

/** Not gone, nor dead and unburied. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

const BIN = "/usr/lib/postgresql/15/bin";

/** It refuses to be root's. */
function person(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const { uid, gid } = statSync("/var/lib/postgresql");
  return { uid, gid };
}

async function answers(port: number): Promise<boolean> {
  const client = new pg.Client({
    host: "127.0.0.1",
    port,
    user: "postgres",
    password: "secret",
    database: "postgres",
    connectionTimeoutMillis: 1_000,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}
