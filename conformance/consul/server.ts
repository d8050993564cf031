import { freePort } from "../free-port.ts";
import { ServerProcess, startTogether } from "../server-process.ts";
import { tool } from "../tools.ts";

/** A real Consul of one server on free ports of 127.0.0.1, which keeps its data, and can be hurt. */
export class ConsulServer extends ServerProcess {
  readonly #ports: readonly number[];
  readonly #hcl: string;
  readonly #token: string;
  readonly #https: boolean;
  readonly #node: string;
  readonly #role: readonly string[];

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
    await startTogether(servers);
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
    super("Consul", port);
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
    const args = ["agent", ...one, ...ports, ...tls, ...off, ...more, "-data-dir", this.data];
    await this.launch(tool("consul"), args, { ready: () => this.#answers() });
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

async function freePorts(): Promise<number[]> {
  const ports: number[] = [];
  for (let i = 0; i < 5; i++) ports.push(await freePort());
  return ports;
}
