import assert from "node:assert/strict";
import { test } from "node:test";
import { rateLimit, traffic } from "../policy/builders.ts";
import { simulate } from "./simulate.ts";

const FROM = { service: "payments", place: "client" } as const;

test("a breaker of the fleet: one bad process trips nobody, several do, one probe closes it for all", async () => {
  const policies = [traffic("payments").retry(0).breaker({ scope: "fleet", consecutiveFailures: 5, sleep: "2s" })];
  const world = simulate({ services: { payments: { replicas: 2, latencyMs: 5 } }, policies }, { seed: 1 });
  const round = async (failing: readonly string[]): Promise<string[]> => {
    const reasons: string[] = [];
    for (const from of ["a", "b", "c"]) {
      const fault = failing.includes(from) ? world.fault("payments", { errorRate: 1, status: 500 }) : null;
      reasons.push((await world.call("GET /", { ...FROM, from })).reason);
      fault?.clear();
    }
    await world.advance(50);
    return reasons;
  };
  for (let i = 0; i < 20; i++) await round([]); // until they have heard of each other
  for (let i = 0; i < 100; i++) assert.ok((await round(["a"])).every((reason) => reason !== "BREAKER_OPEN"));
  let last: string[] = [];
  for (let i = 0; i < 30; i++) last = await round(["a", "b"]);
  assert.deepEqual(last, ["BREAKER_OPEN", "BREAKER_OPEN", "BREAKER_OPEN"]);
  const refused = await world.call("GET /", { ...FROM, from: "c" });
  assert.match(refused.explain(), /payments is open \(by the evidence of the fleet, 3 processes\)/);
  await world.advance(2_600);
  const probes = await round([]);
  assert.equal(probes.filter((reason) => reason === "").length, 1);
  await world.advance(1_000);
  assert.deepEqual(await round([]), ["", "", ""]);
});

test("a limit that the system shares counts the calls of all gateways together", async () => {
  const world = simulate(
    { services: { orders: { latencyMs: 1 } }, policies: [rateLimit("orders").allow(10, "1m").shared()] },
    { seed: 1 },
  );
  const passed = { west: 0, east: 0 };
  for (let i = 0; i < 20; i++) {
    for (const from of ["west", "east"] as const) {
      if ((await world.call("GET /", { service: "orders", from })).status === 200) passed[from]++;
    }
  }
  assert.equal(passed.west + passed.east, 10);
  assert.equal(passed.west, passed.east);
});
