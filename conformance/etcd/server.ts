import { freePort } from "../free-port.ts";
import { ServerProcess, startTogether } from "../server-process.ts";
import { tool } from "../tools.ts";

/** A real etcd of one member on free ports of 127.0.0.1, that can be hurt. */
export class EtcdServer extends ServerProcess {
  readonly #peerPort: number;
  /** Where it says how it is, without a login and in plain text. */
  readonly #healthPort: number;
  readonly #more: readonly string[];

  static async start(more: readonly string[] = []): Promise<EtcdServer> {
    const server = new EtcdServer(await freePorts(), more);
    await server.start();
    return server;
  }

  /** Several members that are one etcd. */
  static async cluster(size: number): Promise<EtcdServer[]> {
    const peers: { name: string; ports: EtcdPorts }[] = [];
    for (let i = 0; i < size; i++) peers.push({ name: `m${i}`, ports: await freePorts() });
    const cluster = peers.map(({ name, ports }) => `${name}=http://127.0.0.1:${ports.peer}`).join(",");
    const members = peers.map(
      ({ name, ports }) => new EtcdServer(ports, ["--name", name, "--initial-cluster", cluster]),
    );
    await startTogether(members);
    return members;
  }

  private constructor({ client, peer, health }: EtcdPorts, more: readonly string[]) {
    super("etcd", client);
    this.#peerPort = peer;
    this.#healthPort = health;
    this.#more = more;
  }

  /** Resolves when it has a leader, and answers: it listens long before. */
  async start(): Promise<void> {
    const scheme = this.#more.includes("--cert-file") ? "https" : "http";
    const client = `${scheme}://${this.address}`;
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    const ports = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer];
    const cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`];
    const health = `http://127.0.0.1:${this.#healthPort}`;
    const quick = ["--unsafe-no-fsync", "--log-level", "error", "--listen-metrics-urls", health];
    const args = ["--data-dir", this.data, ...ports, ...cluster, ...quick, ...this.#more];
    await this.launch(tool("etcd"), args, { ready: () => isHealthy(health) });
  }
}

interface EtcdPorts {
  readonly client: number;
  readonly peer: number;
  readonly health: number;
}

async function freePorts(): Promise<EtcdPorts> {
  return { client: await freePort(), peer: await freePort(), health: await freePort() };
}

/** Whether it answers a linearizable read. */
async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}
