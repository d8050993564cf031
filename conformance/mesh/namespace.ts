import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { run } from "./commands.ts";

const NAME = "weft-mesh";

/** A network namespace with a way to this machine, and a resolver of its own. */
export class Namespace implements AsyncDisposable {
  readonly name = NAME;
  /** This machine, as the namespace sees it. */
  readonly host = "10.213.77.1";
  /** The namespace, as this machine sees it. */
  readonly inside = "10.213.77.2";
  readonly #children: ChildProcess[] = [];

  static async open(): Promise<Namespace> {
    const namespace = new Namespace();
    const commands = [
      ["netns", "add", NAME],
      ["-n", NAME, "link", "set", "lo", "up"],
      ["link", "add", "weftmesh0", "type", "veth", "peer", "name", "weftmesh1", "netns", NAME],
      ["addr", "add", `${namespace.host}/24`, "dev", "weftmesh0"],
      ["link", "set", "weftmesh0", "up"],
      ["-n", NAME, "addr", "add", `${namespace.inside}/24`, "dev", "weftmesh1"],
      ["-n", NAME, "link", "set", "weftmesh1", "up"],
      ["-n", NAME, "route", "add", "default", "via", namespace.host],
    ];
    for (const command of commands) {
      const { status, output } = await run("ip", command);
      if (status === 0) continue;
      await namespace[Symbol.asyncDispose]();
      throw new Error(`ip ${command.join(" ")}: ${output}`);
    }
    mkdirSync(`/etc/netns/${NAME}`, { recursive: true });
    return namespace;
  }

  /** Whom programs in it that are started from now on ask for names. */
  resolveBy(address: string): void {
    writeFileSync(`/etc/netns/${NAME}/resolv.conf`, `nameserver ${address}\n`);
  }

  /** Runs a command in it to its end. */
  run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    return run("ip", ["netns", "exec", NAME, command, ...args], env);
  }

  /** Starts a command in it. */
  start(command: readonly string[]): ChildProcess {
    return this.outside(["ip", "netns", "exec", NAME, ...command]);
  }

  /** Starts a command on this machine, which ends with the namespace. */
  outside(command: readonly string[]): ChildProcess {
    const child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.reverse()) await ended(child);
    await run("ip", ["netns", "del", NAME]);
    await run("ip", ["link", "del", "weftmesh0"]);
    rmSync(`/etc/netns/${NAME}`, { recursive: true, force: true });
  }
}

/** Ends a child, by force where it does not go within 5 s. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const cut = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await gone;
  clearTimeout(cut);
}
