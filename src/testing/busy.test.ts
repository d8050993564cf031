import assert from "node:assert/strict";
import { test } from "node:test";
import { route, traffic } from "../policy/builders.ts";
import { simulate } from "./simulate.ts";
import type { SimulatedSystem } from "./types.ts";

const system: SimulatedSystem = {
  services: { orders: { replicas: 2, latencyMs: 5 } },
  routes: [route("/orders").to("orders")],
  policies: [
    traffic("*").retry(0),
    traffic("orders").admission({ priorities: [{ priority: 9, header: { name: "x-tier", value: "gold" } }] }),
  ],
};
const load = { perSecond: 100, forMs: 2_000, arrivals: "even" } as const;
const GOLD = { headers: { "x-tier": "gold" } };

test("a busy gateway turns away what matters least, and nothing any more once it has recovered", async () => {
  const world = simulate(system);
  assert.equal((await world.load("GET /orders", load)).successRate, 1);
  const busy = world.busy("gateway", { eventLoop: 0.98 });
  const [plain, gold] = await Promise.all([
    world.load("GET /orders", load),
    world.load("GET /orders", { ...load, perSecond: 5, with: GOLD }),
  ]);
  assert.ok(plain.successRate < 0.6 && (plain.byReason.SHED ?? 0) > 80, JSON.stringify(plain.byReason));
  assert.ok(gold.successRate > 0.9, `${gold.successRate}`);
  busy.clear();
  await world.load("GET /orders", { ...load, forMs: 5_000 });
  assert.equal((await world.load("GET /orders", load)).successRate, 1);
});

test("a load holds from when and for as long as it says", async () => {
  const world = simulate(system);
  world.busy("gateway", { cpu: 1, eventLoop: 1, from: 1_000, forMs: 1_000 });
  const shed = async () => (await world.load("GET /orders", { ...load, forMs: 1_000 })).byReason.SHED ?? 0;
  assert.equal(await shed(), 0);
  assert.ok((await shed()) > 5);
  await world.advance(10_000);
  await shed();
  assert.equal(await shed(), 0);
});

test("a replica that is busy turns calls away itself, the other one does not", async () => {
  const world = simulate(system);
  world.busy("orders#1", { eventLoop: 1 });
  const { byReason } = await world.load("GET /orders", { ...load, forMs: 4_000, keep: "all" });
  assert.ok((byReason["503"] ?? 0) > 50, JSON.stringify(byReason));
  const places = new Set(world.decisions({ reason: "SHED" }).map(({ place }) => place));
  assert.deepEqual([...places], ["server"]);
});

test("what is no process, and loads that mean nothing, are refused", () => {
  const world = simulate(system);
  assert.throws(() => world.busy("gatway", { eventLoop: 1 }), /"gatway"/);
  assert.throws(() => world.busy("gateway", { eventLoop: 98 }), /eventLoop must be between 0 and 1, not 98/);
});
