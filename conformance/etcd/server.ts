import { connect } from "node:net";
import { freePort } from "../free-port.ts";
import { ServerProcess, startTogether } from "../server-process.ts";
import { tool } from "../tools.ts";

/** A real etcd of one member on free ports of 127.0.0.1, that can be hurt. */
export class EtcdServer extends ServerProcess {
  readonly #peerPort: number;
  readonly #more: readonly string[];

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
    await startTogether(members);
    return members;
  }

  private constructor(port: number, peerPort: number, more: readonly string[]) {
    super("etcd", port);
    this.#peerPort = peerPort;
    this.#more = more;
  }

  async start(): Promise<void> {
    const scheme = this.#more.includes("--cert-file") ? "https" : "http";
    const client = `${scheme}://${this.address}`;
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    const ports = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer];
    const cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`];
    const quick = ["--unsafe-no-fsync", "--log-level", "error"];
    const args = ["--data-dir", this.data, ...ports, ...cluster, ...quick, ...this.#more];
    await this.launch(tool("etcd"), args, { ready: () => answers(this.port) });
  }
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
