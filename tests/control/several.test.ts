import assert from "node:assert/strict";
import test from "node:test";
import { type ControlPlane, startControlPlane } from "../../src/control/control-plane.ts";
import { seededRandom } from "../../src/core/random.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { eventually, registrationOf, World } from "./world.ts";

/** Control planes that share nothing but their clients. */
async function planes(world: World, count: number): Promise<ControlPlane[]> {
  const all: ControlPlane[] = [];
  for (let n = 0; n < count; n++) {
    const plane = await startControlPlane({
      registry: createMemoryRegistry(),
      defaultTtlMs: 3_000,
      health: { defaults: { kind: "ttl" } },
    });
    world.onClose(() => plane.stop());
    all.push(plane);
  }
  return all;
}

function endpointsOf(plane: ControlPlane, world: World, address = plane.address) {
  const look = world.link({ address });
  return { look, ids: (service: string) => look.ids(service) };
}

test("a process of several control planes uses one, and moves with all that it registered and follows when that stops", async () => {
  const world = new World();
  try {
    const all = await planes(world, 2);
    const { link, ids } = world.link({ address: all.map(({ address }) => address).join(","), random: seededRandom(2) });
    await link.subscribe("orders");
    await link.register(registrationOf("orders"));
    await eventually(() => ids("orders").length === 1, "its own endpoint");
    const views = all.map((plane) => endpointsOf(plane, world));
    for (const { look } of views) await look.link.subscribe("orders");
    const used = views.findIndex(({ ids }) => ids("orders").length === 1);
    assert.equal(views.filter(({ ids }) => ids("orders").length === 1).length, 1);
    const stopped = performance.now();
    await all[used].stop();
    const other = views[1 - used];
    await eventually(() => other.ids("orders").length === 1, "its endpoint at the other one", 2_500);
    assert.ok(performance.now() - stopped < 2_500);
    await eventually(() => link.connected, "the line");
    assert.deepEqual(ids("orders"), ["orders-1"], "what the first one told is told anew");
  } finally {
    await world.close();
  }
});

test("processes spread over the control planes that they are given", async () => {
  const world = new World();
  try {
    const all = await planes(world, 3);
    const address = all.map((plane) => plane.address).join(",");
    const links = Array.from({ length: 24 }, (_, n) => world.link({ address, random: seededRandom(n * 7_919) }));
    await Promise.all(links.map(({ link }) => link.subscribe("*")));
    const counts = await Promise.all(
      all.map(async (plane) => {
        world.plane = plane;
        return (await world.admin().listProcesses({})).processes.length;
      }),
    );
    world.plane = null;
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      24,
    );
    for (const count of counts) assert.ok(count >= 3, counts.join());
  } finally {
    await world.close();
  }
});

test("an address at which nobody listens is passed over", async () => {
  const world = new World();
  try {
    const [plane] = await planes(world, 1);
    for (let seed = 0; seed < 4; seed++) {
      const { link } = world.link({ address: `127.0.0.1:1,${plane.address}`, random: seededRandom(seed) });
      await link.subscribe("*");
    }
  } finally {
    await world.close();
  }
});
