import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "../../src/call/client-types.ts";
import { createDirectClient, type DirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { freePort } from "../free-port.ts";
import { HurtLine } from "../hurt-line.ts";

const main = join(import.meta.dirname, "../../src/cli/main.ts");
export const OPERATOR = "the operator's token of this suite";
export const metadata = { authorization: `Bearer ${OPERATOR}` };

/** `weft control` as a process, with a line of its own to the store that can be cut. */
export class Plane {
  readonly address: string;
  readonly line: HurtLine;
  readonly #url: string;
  readonly #direct: DirectClient<typeof Admin>;
  #child: ChildProcess | null = null;

  /** `url` names the store as it is reached at an address. */
  static async start(port: number, url: (address: string) => string): Promise<Plane> {
    const line = await HurtLine.open(port);
    const plane = new Plane(`127.0.0.1:${await freePort()}`, line, url(line.address));
    await plane.start();
    return plane;
  }

  private constructor(address: string, line: HurtLine, url: string) {
    this.address = address;
    this.line = line;
    this.#url = url;
    this.#direct = createDirectClient(Admin, address);
  }

  get admin(): Client<typeof Admin> {
    return this.#direct.client;
  }

  async start(): Promise<void> {
    const args = ["-C", "weft-source", main, "control", "--listen", this.address, "--system", "shop"];
    const env = { ...process.env, WEFT_REGISTRY: this.#url, WEFT_OPERATOR_TOKEN: OPERATOR };
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const said: string[] = [];
    createInterface(child.stderr).on("line", (line) => said.push(line));
    for await (const text of createInterface(child.stdout)) if (/^control plane of shop at /.test(text)) return;
    throw new Error(`weft control ended:\n${said.slice(-10).join("\n")}`);
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    if (signal === "SIGKILL") child.kill("SIGCONT");
    await once(child, "exit");
  }

  async close(): Promise<void> {
    await this.end("SIGKILL");
    await this.#direct.close();
    await this.line.close();
  }
}

/** What any of them but `without` says; rejects when none does. */
export async function asked<A>(planes: readonly Plane[], body: (plane: Plane) => Promise<A>): Promise<A> {
  return await Promise.any(planes.map(body));
}

/** Which one leads, by those that answer. Null while they do not agree that one does. */
export async function leaderOf(planes: readonly Plane[]): Promise<Plane | null> {
  const said = await Promise.all(planes.map(leads));
  const leading = planes.filter((_, i) => said[i]);
  if (leading.length <= 1) return leading[0] ?? null;
  // Answers of two moments: one may have stopped before the other one began.
  const still = (await Promise.all(leading.map(leads))).filter(Boolean);
  assert.ok(still.length <= 1, "two lead at once");
  return null;
}

/** What it says of itself. False where it does not answer. */
async function leads(plane: Plane): Promise<boolean> {
  const status = await plane.admin.getStatus({}, { timeoutMs: 1_500 }).catch(() => null);
  return status?.controlPlanes[0]?.leads === true;
}

export async function timeUntil(condition: () => Promise<boolean>, what: string, withinMs: number): Promise<number> {
  const began = performance.now();
  while (!(await condition().catch(() => false))) {
    if (performance.now() - began > withinMs) throw new Error(`waited in vain for ${what}`);
    await wait(50);
  }
  return performance.now() - began;
}
