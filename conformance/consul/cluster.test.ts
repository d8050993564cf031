import assert from "node:assert/strict";
import { test } from "node:test";
import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { Plane, succeeds, TTL_MS, timeUntil, wait } from "../registry-plane.ts";
import { ConsulServer } from "./server.ts";

const ALL = "alpha-1 alpha-2 alpha-3 alpha-4";

test("three servers, and two control planes at agents of their own: the leader is killed, and started again", async () => {
  const servers = await ConsulServer.cluster(3);
  const agents = [await ConsulServer.client(servers, "a1"), await ConsulServer.client(servers, "a2")];
  const open = (agent: ConsulServer): Promise<Plane> =>
    Plane.open(openConsulRegistry, { url: `consul://${agent.address}`, system: "shop" });
  const [a, b] = [await open(agents[0]), await open(agents[1])];
  const store = await openConsulKeyValue({ url: `consul://${agents[0].address}`, system: "shop" });
  try {
    for (const number of [1, 2]) await a.register(number, 9_000, 3 * TTL_MS);
    for (const number of [3, 4]) await b.register(number, 9_000, 3 * TTL_MS);
    await timeUntil(() => a.ids() === ALL && b.ids() === ALL, "both see all");
    const nodes = async (): Promise<string> => {
      const asked = agents[0].ask("/v1/health/service/alpha?passing").catch(() => []); // while there is no leader
      const there = (await asked) as {
        Node: { Node: string };
        Service: { Meta: Record<string, string> };
      }[];
      return there
        .map(({ Node, Service }) => `${Service.Meta["weft-id"]}@${Node.Node}`)
        .sort()
        .join(" ");
    };
    await timeUntil(
      async () => (await nodes()) === "alpha-1@a1 alpha-2@a1 alpha-3@a2 alpha-4@a2",
      "each at its agent",
      10_000,
    );
    // Taken over by the other control plane: shown at the other agent, and not at both.
    await b.register(1, 9_001, 3 * TTL_MS);
    a.forget(1);
    await timeUntil(() => a.portOf(1) === 9_001, "the first sees that it moved");
    await timeUntil(
      async () => (await nodes()) === "alpha-1@a2 alpha-2@a1 alpha-3@a2 alpha-4@a2",
      "shown where it is",
      10_000,
    );

    let leader: ConsulServer | undefined;
    const found = async (): Promise<boolean> => {
      const address = await servers[0].ask("/v1/status/leader");
      leader = servers.find((server) => server.serverAddress === address);
      return leader !== undefined;
    };
    await timeUntil(found, "a leader");
    await leader?.kill();
    const started = performance.now();
    await timeUntil(() => succeeds(a.register(2, 9_002, 3 * TTL_MS)), "registering without it", 15_000);
    await timeUntil(() => b.portOf(2) === 9_002, "seen by the other");
    await timeUntil(() => succeeds(store.put("a", Buffer.from("1"), ANY)), "the store");
    const took = Math.round(performance.now() - started);
    console.log(`measured consul, leader of three killed: in use again after ${took} ms`);
    await leader?.start();
    await wait(2 * TTL_MS);
    assert.deepEqual([a.left, b.left], [[], []], "a healthy endpoint disappeared");
    assert.deepEqual([a.ids(), b.ids()], [ALL, ALL]);
    assert.ok(took < 10_000, `${took} ms`);
  } finally {
    await store.close();
    await a.close();
    await b.close();
    for (const server of [...agents, ...servers]) await server.stop();
  }
});
