import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { freePort } from "../free-port.ts";
import { wait } from "../registry-plane.ts";

/** A real dnsmasq on a free port of 127.0.0.1, which names what it is told, and can be hurt. */
export class Dnsmasq {
  readonly port: number;
  #child: ChildProcess | null = null;
  #lines: readonly string[];

  /** `lines`: options of its configuration, without dashes: "srv-host=web.svc.test,one.svc.test,8080". */
  static async start(lines: readonly string[]): Promise<Dnsmasq> {
    const server = new Dnsmasq(await freePortOfBoth(), lines);
    await server.start();
    return server;
  }

  private constructor(port: number, lines: readonly string[]) {
    this.port = port;
    this.#lines = lines;
  }

  async start(): Promise<void> {
    const base = [
      "keep-in-foreground",
      "no-resolv",
      "no-hosts",
      "no-daemon",
      "bind-interfaces",
      "conf-file=/dev/null",
      "user=root",
    ];
    const own = [`port=${this.port}`, "listen-address=127.0.0.1", "local=/svc.test/", "pid-file="];
    const args = [...base, ...own, ...this.#lines].map((line) => `--${line}`);
    const child = spawn("dnsmasq", args, { stdio: "ignore" });
    this.#child = child;
    const resolver = new Resolver({ timeout: 100, tries: 1 });
    resolver.setServers([`127.0.0.1:${this.port}`]);
    for (const until = performance.now() + START_MS; performance.now() < until && child.exitCode === null; ) {
      const code = await resolver.resolve4("nobody.svc.test").then(
        () => "",
        (error: { code: string }) => error.code,
      );
      if (code === "ENOTFOUND" || code === "ENODATA") return;
      await wait(20);
    }
    await this.stop();
    throw new Error(`dnsmasq does not start on port ${this.port}`);
  }

  /** What it names from now on; it is down for a moment, as it reads its configuration at the start alone. */
  async name(lines: readonly string[]): Promise<void> {
    this.#lines = lines;
    await this.stop();
    await this.start();
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
}

/** Says that it hangs, not that it is slow. */
const START_MS = 60_000;

/** Free for TCP and UDP. */
async function freePortOfBoth(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const socket = createSocket("udp4");
    const free = await new Promise<boolean>((resolve) => {
      socket.once("error", () => resolve(false));
      socket.bind(port, "127.0.0.1", () => resolve(true));
    });
    socket.close();
    if (free) return port;
  }
}
