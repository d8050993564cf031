import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { systemRandom } from "../src/core/random.ts";
import { createLink } from "../src/link/link.ts";
import type { Link } from "../src/link/types.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { HurtLine } from "./hurt-line.ts";
import type { HurtableServer } from "./registry-faults.ts";
import { timeUntil, wait } from "./registry-plane.ts";

const main = join(import.meta.dirname, "../src/cli/main.ts");
const children = new Set<ChildProcess>();
/** Far longer than a process takes to find the control plane that is there instead of its own. */
const TTL_MS = 20_000;
/** Control planes that share a store know each other by it. */
const OPERATOR = randomBytes(32).toString("base64");

/** Two control planes on one server, as people start them: what registers at one is known at the other, whichever of the three is killed. */
export function controlPlanes(
  name: string,
  options: { server: () => Promise<HurtableServer>; url: (address: string) => string },
): void {
  after(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  test(`two control planes on one ${name}: what registers at one is known at the other, whichever of the three is killed`, async () => {
    const server = await options.server();
    await killEach(name, server, options.url(server.address));
  });
}

/** `weft control` as people start it. */
async function control(url: string): Promise<{ child: ChildProcess; address: string; port: number }> {
  const args = ["-C", "weft-source", main, "control", "--listen", "127.0.0.1:0", "--system", "shop"];
  const env = { ...process.env, WEFT_REGISTRY: url, WEFT_OPERATOR_TOKEN: OPERATOR };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  for await (const text of createInterface(child.stdout)) {
    const [, address, port] = /^control plane of shop at (\S+:(\d+));/.exec(text) ?? [];
    if (address !== undefined) return { child, address, port: Number(port) };
  }
  throw new Error("weft control ended");
}

/** A process that knows the service "orders" by a control plane; `left` is what it has seen leave. */
async function follow(address: string): Promise<{ link: Link; ids: () => string; left: string[] }> {
  const policy = createPolicyRuntime({ random: systemRandom });
  const known = new Set<string>();
  const left: string[] = [];
  const apply = policy.applyEndpoints.bind(policy);
  policy.applyEndpoints = (delta) => {
    if (delta.full) left.push(...[...known].filter((id) => !delta.changed.some((endpoint) => endpoint.id === id)));
    if (delta.full) known.clear();
    for (const { id } of delta.removed) if (known.delete(id)) left.push(id);
    for (const { id } of delta.changed) known.add(id);
    apply(delta);
  };
  const link = createLink({ address, policy });
  await link.subscribe("orders");
  return { link, left, ids: () => [...known].sort().join(" ") };
}

async function killEach(name: string, server: HurtableServer, url: string): Promise<void> {
  const [first, second] = [await control(url), await control(url)];
  const line = await HurtLine.open(first.port);
  const [one, other] = [await follow(line.address), await follow(second.address)];
  try {
    const endpoint = { service: "orders", host: "127.0.0.1", version: "", zone: "", weight: 1, metadata: {} };
    const listening = { ...endpoint, port: server.port, protocol: "h2c" as const };
    const registration = { contracts: [], descriptors: null, ttlMs: TTL_MS };
    await one.link.register({ ...registration, endpoint: { ...listening, id: "orders-1" } });
    await other.link.register({ ...registration, endpoint: { ...listening, id: "orders-2" } });
    const all = (): boolean => one.ids() === "orders-1 orders-2" && other.ids() === one.ids();
    await timeUntil(all, "each knows what registered at the other");

    await server.kill();
    await wait(1_000);
    await server.start();
    await other.link.register({ ...registration, endpoint: { ...listening, id: "orders-3" } }).catch(() => {});
    const took = await timeUntil(
      () => one.ids().includes("orders-3"),
      `what registered at the other after ${name} was killed`,
    );
    console.log(`measured control planes, ${name} killed: known at the other ${Math.round(took)} ms after recovery`);

    // Started before: what a plane that is dead holds is kept for 15 s, and on a busy machine a start takes longer.
    const instead = await control(url);
    const killed = performance.now();
    first.child.kill("SIGKILL");
    await once(first.child, "exit");
    await wait(1_000);
    line.target = instead.port;
    await timeUntil(() => one.link.connected, "the line to the one that is there instead", 10_000);
    console.log(
      `measured control planes, one over ${name} killed: its processes are back after ${Math.round(performance.now() - killed)} ms`,
    );
    await wait(TTL_MS + 1_000);
    assert.equal(other.ids(), "orders-1 orders-2 orders-3");
    assert.deepEqual([one.left, other.left], [[], []], "an endpoint disappeared");
  } finally {
    await one.link.close();
    await other.link.close();
    await line.close();
    for (const child of children) child.kill();
    await server.stop();
  }
}
