import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { ServerProcess, startTogether } from "../server-process.ts";

/** A real ZooKeeper (Debian's package "zookeeper") on free ports of 127.0.0.1, that can be hurt. */
export class ZookeeperServer extends ServerProcess {
  readonly #ensemble: readonly string[];
  readonly #number: number;
  readonly #more: readonly string[];

  /** `more`: lines of its configuration. */
  static async start(more: readonly string[] = []): Promise<ZookeeperServer> {
    const server = new ZookeeperServer(await freePort(), 0, [], more);
    await server.start();
    return server;
  }

  /** Several members that are one ZooKeeper. */
  static async ensemble(size: number): Promise<ZookeeperServer[]> {
    const lines: string[] = [];
    for (let i = 1; i <= size; i++) lines.push(`server.${i}=127.0.0.1:${await freePort()}:${await freePort()}`);
    const ports = await Promise.all(lines.map(freePort));
    const members = ports.map((port, i) => new ZookeeperServer(port, i + 1, lines, []));
    await startTogether(members);
    return members;
  }

  private constructor(port: number, number: number, ensemble: readonly string[], more: readonly string[]) {
    super("ZooKeeper", port);
    this.#number = number;
    this.#ensemble = ensemble;
    this.#more = more;
  }

  async start(): Promise<void> {
    const { data } = this;
    mkdirSync(data, { recursive: true });
    const config = join(this.folder, "zoo.cfg");
    const own = [`dataDir=${data}`, `clientPort=${this.port}`, "clientPortAddress=127.0.0.1"];
    const usual = ["tickTime=1000", "initLimit=5", "syncLimit=3", "maxClientCnxns=0", "4lw.commands.whitelist=srvr"];
    writeFileSync(config, [...own, ...usual, ...this.#ensemble, ...this.#more, ""].join("\n"));
    if (this.#number > 0) writeFileSync(join(data, "myid"), String(this.#number));
    const jars = JARS.map((name) => `/usr/share/java/${name}.jar`);
    if (!existsSync(jars[0])) throw new Error("there is no ZooKeeper: apt-get install zookeeper");
    const small = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
    const quiet = ["-Dzookeeper.admin.enableServer=false", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"];
    const quick = ["-Dzookeeper.forceSync=no"];
    const main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
    const args = [...small, ...quiet, ...quick, "-cp", jars.join(":"), main, config];
    await this.launch("java", args, { ready: () => serves(this.port), options: { cwd: this.folder } });
  }
}

/** A member that has found no others says that it serves nobody. */
function serves(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(port, "127.0.0.1", () => socket.write("srvr"));
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on("data", (bytes) => {
      said += bytes;
    });
    socket.on("error", () => resolve(false));
    socket.on("close", () => resolve(said.includes("Mode:")));
  });
}

const NETTY = ["buffer", "codec", "common", "handler", "resolver", "transport"].map((part) => `netty-${part}`);
const JARS = [
  "zookeeper",
  "zookeeper-jute",
  "slf4j-api",
  "slf4j-simple",
  "commons-cli",
  "metrics-core",
  "snappy-java",
  "netty-transport-native-epoll",
  "netty-transport-native-unix-common",
  ...NETTY,
];
