import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tool } from "../tools.ts";

/** A real etcd of one member on free ports of 127.0.0.1, that can be hurt. */
export class EtcdServer {
  readonly port: number;
  readonly #peerPort: number;
  readonly #more: readonly string[];
  #folder = mkdtempSync(join(tmpdir(), "weft-etcd-"));
  #child: ChildProcess | null = null;

  static async start(more: readonly string[] = []): Promise<EtcdServer> {
    const server = new EtcdServer(await freePort(), await freePort(), more);
    await server.start();
    return server;
  }

  /** Several members that are one etcd. */
  static async cluster(size: number): Promise<EtcdServer[]> {
    const peers: { name: string; port: number; peerPort: number }[] = [];
    for (let i = 0; i < size; i++) peers.push({ name: `m${i}`, port: await freePort(), peerPort: await freePort() });
    const cluster = peers.map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`).join(",");
    const members = peers.map(
      ({ name, port, peerPort }) => new EtcdServer(port, peerPort, ["--name", name, "--initial-cluster", cluster]),
    );
    await Promise.all(members.map((member) => member.start()));
    return members;
  }

  private constructor(port: number, peerPort: number, more: readonly string[]) {
    this.port = port;
    this.#peerPort = peerPort;
    this.#more = more;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const scheme = this.#more.includes("--cert-file") ? "https" : "http";
    const client = `${scheme}://${this.address}`;
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    const ports = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer];
    const cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`];
    const quick = ["--unsafe-no-fsync", "--log-level", "error"];
    const args = ["--data-dir", this.#folder, ...ports, ...cluster, ...quick, ...this.#more];
    this.#child = spawn(tool("etcd"), args, { stdio: "ignore" });
    for (let tries = 0; tries < 200; tries++) {
      if (await answers(this.port)) return;
      await wait(25);
    }
    throw new Error("etcd does not start");
  }

  /** kill -9 */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  /** What it held is gone when it starts again. */
  lose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = mkdtempSync(join(tmpdir(), "weft-etcd-"));
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
