import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tool } from "../tools.ts";

/** A real Consul of one server on free ports of 127.0.0.1, which keeps its data, and can be hurt. */
export class ConsulServer {
  readonly port: number;
  readonly #ports: readonly number[];
  readonly #hcl: string;
  readonly #token: string;
  readonly #https: boolean;
  readonly #node: string;
  readonly #role: readonly string[];
  #folder = mkdtempSync(join(tmpdir(), "weft-consul-"));
  #child: ChildProcess | null = null;

  /** `hcl`: more of its configuration; `token`: what is asked with; `https`: over TLS, too. */
  static async start({ hcl = "", token = "", https = false } = {}): Promise<ConsulServer> {
    const server = new ConsulServer(await freePorts(), hcl, token, https, "n1", ["-server", "-bootstrap-expect=1"]);
    await server.start();
    return server;
  }

  /** Several servers that are one Consul. */
  static async cluster(size: number): Promise<ConsulServer[]> {
    const ports: number[][] = [];
    for (let i = 0; i < size; i++) ports.push(await freePorts());
    const join = ports.flatMap(([, , lan]) => ["-retry-join", `127.0.0.1:${lan}`]);
    const one = ["-server", `-bootstrap-expect=${size}`, "-retry-interval", "1s", ...join];
    const servers = ports.map((own, i) => new ConsulServer(own, "", "", false, `s${i + 1}`, one));
    await Promise.all(servers.map((server) => server.start()));
    return servers;
  }

  /** An agent that is no server. */
  static async client(servers: readonly ConsulServer[], node: string): Promise<ConsulServer> {
    const join = servers.flatMap((server) => ["-retry-join", `127.0.0.1:${server.#ports[1]}`]);
    const agent = new ConsulServer(await freePorts(), "", "", false, node, ["-retry-interval", "1s", ...join]);
    await agent.start();
    return agent;
  }

  private constructor(
    [port, ...ports]: readonly number[],
    hcl: string,
    token: string,
    https: boolean,
    node: string,
    role: readonly string[],
  ) {
    this.port = port;
    this.#ports = ports;
    this.#hcl = hcl;
    this.#token = token;
    this.#https = https;
    this.#node = node;
    this.#role = role;
  }

  get dnsPort(): number {
    return this.#ports[2];
  }

  /** Where the other servers find it. */
  get serverAddress(): string {
    return `127.0.0.1:${this.#ports[0]}`;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get httpsAddress(): string {
    return `127.0.0.1:${this.#ports[3]}`;
  }

  /** Resolves when it has a leader, which keys are written to and read from. */
  async start(): Promise<void> {
    const [server, lan, dns] = this.#ports;
    const ports = ["-http-port", `${this.port}`, "-server-port", `${server}`, "-serf-lan-port", `${lan}`];
    const off = ["-serf-wan-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1", "-dns-port", `${dns}`];
    const one = [...this.#role, "-bind", "127.0.0.1", "-client", "127.0.0.1", "-node", this.#node];
    // As is recommended for production: by default it takes 5 s until there is a leader.
    const more = ["-hcl", "performance { raft_multiplier = 1 }", "-hcl", this.#hcl, "-log-level", "error"];
    const tls = this.#https ? ["-https-port", `${this.#ports[3]}`] : [];
    const args = ["agent", ...one, ...ports, ...tls, ...off, ...more, "-data-dir", this.#folder];
    this.#child = spawn(tool("consul"), args, { stdio: "ignore" });
    for (let tries = 0; tries < 800; tries++) {
      if (await this.#answers()) return;
      await wait(25);
    }
    throw new Error("Consul does not start");
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
    this.#folder = mkdtempSync(join(tmpdir(), "weft-consul-"));
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Asks its HTTP API; null where there is none. */
  async ask(path: string, { method = "GET", body, token = this.#token }: Ask = {}): Promise<unknown> {
    const response = await fetch(`http://${this.address}${path}`, {
      method,
      headers: { "x-consul-token": token },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  /** Its node is known where endpoints are looked for, which is a moment after there is a leader. */
  async #answers(): Promise<boolean> {
    try {
      return ((await this.ask(`/v1/health/node/${this.#node}`)) as unknown[]).length > 0;
    } catch {
      return false;
    }
  }
}

interface Ask {
  method?: string;
  body?: unknown;
  token?: string;
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function freePorts(): Promise<number[]> {
  const ports: number[] = [];
  for (let i = 0; i < 5; i++) ports.push(await freePort());
  return ports;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
