import assert from "node:assert/strict";
import { test } from "node:test";
import { leaseMs } from "../../src/policy/limit/limit-grantor.ts";
import { sharedLimitContract } from "../../src/policy/limit/shared-limit.case.ts";
import { World } from "./world.ts";

sharedLimitContract("leases from a control plane", {
  async open(nodes) {
    const world = new World();
    await world.startInMemory();
    const links = Array.from({ length: nodes }, (_, i) => world.link({ process: `gateway-${i}` }).link);
    return {
      take: (node, request) => new Promise((resolve) => links[node].limits.take(request, resolve)),
      now: () => performance.now(),
      advance: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      close: () => world.close(),
    };
  },
  slackMs: ({ perMs }) => 2 * leaseMs(perMs),
  real: true,
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
