import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../src/core/clock.ts";
import { rateLimit } from "../../src/policy/builders.ts";
import { leaseMs } from "../../src/policy/limit/limit-grantor.ts";
import { sharedLimitContract } from "../../src/policy/limit/shared-limit.case.ts";
import { http, TestCall } from "../../src/policy/machine/call.case.ts";
import { eventually, registrationOf, World } from "./world.ts";

sharedLimitContract("leases from a control plane", {
  async open(nodes) {
    const world = new World();
    // The network is real, and time is what the test says it is: each turn of it waits for the answers.
    const clock = new VirtualClock();
    await world.startInMemory({ clock });
    const links = Array.from({ length: nodes }, (_, i) => world.link({ process: `gateway-${i}`, clock }).link);
    return {
      take: (node, request) => new Promise((resolve) => links[node].limits.take(request, resolve)),
      now: () => clock.now(),
      advance: async (ms) => clock.advance(ms),
      close: () => world.close(),
    };
  },
  slackMs: ({ perMs }) => 2 * leaseMs(perMs),
});

test("a process hears how many others keep the same limits", async (t) => {
  const world = new World();
  t.after(() => world.close());
  await world.startInMemory({
    resources: {
      text: JSON.stringify(rateLimit("payments").allow(10).shared().resources()[0]),
      source: "test",
      author: "test",
      reason: "",
    },
  });
  const processes = ["gateway", "gateway", "orders-1"].map((process) => world.link({ process }));
  await processes[0].link.register(registrationOf("payments", 1));
  for (const { link, policy } of processes) {
    await link.subscribe("payments");
    new TestCall(policy, performance.now()).begin(http("GET", "/"), { service: "payments", place: "gateway" });
  }
  const peers = () => processes.map(({ policy }) => policy.process.peers).join();
  await eventually(() => peers() === "2,2,1", "gateways to know each other");
});

test("without a control plane a process is told so, and keeps to its share", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const plane = await world.startInMemory();
  const { link } = world.link();
  const request = {
    name: "a",
    key: "",
    algorithm: "token-bucket",
    requests: 10,
    perMs: 100,
    burst: 10,
    cost: 1,
  } as const;
  const take = () => new Promise((resolve) => link.limits.take(request, resolve));
  assert.deepEqual(((await take()) as { allowed: boolean }).allowed, true);
  await plane.stop();
  for (let i = 0; i < 200 && (await take()) !== null; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(await take(), null);
});
