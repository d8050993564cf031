import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { freePort } from "../../conformance/free-port.ts";
import { eventually, registrationOf, World } from "./world.ts";

const CHILD = join(import.meta.dirname, "child.ts");

/** A process of its own that says one line when it is ready. */
async function start(world: World, ...args: string[]): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(process.execPath, ["--conditions=weft-source", CHILD, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  world.onClose(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
  for await (const line of createInterface({ input: child.stdout })) return { child, line };
  throw new Error(`${args.join(" ")} ended before it was ready`);
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("kill -9 of the control plane: processes keep what they know, and all is back when it is", async () => {
  const world = new World();
  try {
    const { child, line: address } = await start(world, "control", world.folder, `${await freePort()}`);
    const server = world.link({ address });
    const client = world.link({ address });
    await client.link.subscribe("alpha");
    await server.link.register(registrationOf("alpha"));
    await server.link.register(registrationOf("alpha", 2));
    await eventually(() => client.ids("alpha").length === 2, "the endpoints");
    let least = 2;
    const looking = setInterval(() => (least = Math.min(least, client.ids("alpha").length)), 1);
    await kill(child);
    await eventually(() => !client.link.connected && !server.link.connected, "the loss");
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // longer than a lease
    const again = await start(world, "control", world.folder, address.split(":")[1]);
    assert.equal(again.line, address);
    await eventually(() => client.link.connected && server.link.connected, "the lines");
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    clearInterval(looking);
    assert.equal(least, 2, "an endpoint disappeared");
    // And the registrations are live ones: a release by their owner reaches the client.
    await server.link.close();
    await eventually(() => client.ids("alpha").length === 0, "the releases");
  } finally {
    await world.close();
  }
});

test("kill -9 of control plane and client: the client begins again with the endpoints and the policies that it knew", async () => {
  const world = new World();
  try {
    const { child, line: address } = await start(world, "control", world.folder, `${await freePort()}`);
    const server = world.link({ address });
    await server.link.register(registrationOf("alpha"));
    await server.link.register(registrationOf("alpha", 2));
    const stateFile = join(world.folder, "state.json");
    const client = await start(world, "client", address, stateFile);
    assert.equal(client.line, "alpha-1 alpha-2 at revision 0");
    await eventually(
      () => existsSync(stateFile) && /alpha-2/.test(readFileSync(stateFile, "utf8")),
      "the state on disk",
    );
    await Promise.all([kill(client.child), kill(child)]);
    const again = await start(world, "client", address, stateFile);
    assert.equal(again.line, "alpha-1 alpha-2 at revision 0");
    // What is no state is none, and said to be: nothing is made of half a file.
    await kill(again.child);
    writeFileSync(stateFile, readFileSync(stateFile, "utf8").slice(0, 40));
    await assert.rejects(start(world, "client", address, stateFile), /ended before it was ready/);
  } finally {
    await world.close();
  }
});

test("kill -9 of a service: its endpoint is out of rotation well within a second", async () => {
  const world = new World();
  try {
    const { address } = await world.startInMemory({ health: {}, defaultTtlMs: 15_000 });
    const { child } = await start(world, "service", address);
    const client = world.link();
    await client.link.subscribe("alpha");
    await eventually(() => client.endpoints("alpha")[0]?.health === "healthy", "the service");
    await new Promise((resolve) => setTimeout(resolve, 700)); // a few checks later
    assert.equal(client.endpoints("alpha")[0].health, "healthy");
    await kill(child);
    const ms = await eventually(() => client.endpoints("alpha")[0]?.health !== "healthy", "the eviction", 1_000);
    assert.ok(ms < 1_000, `${ms} ms`);
    // Started again, under the same id, it is back at once.
    await start(world, "service", address);
    await eventually(() => client.endpoints("alpha").some(({ health }) => health === "healthy"), "the return", 1_000);
  } finally {
    await world.close();
  }
});
