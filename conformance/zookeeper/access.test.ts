import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { timeUntil } from "../registry-plane.ts";
import { connect } from "./kept-endpoints.ts";
import { ZookeeperServer } from "./server.ts";

let server: ZookeeperServer;
before(async () => {
  server = await ZookeeperServer.start();
});
after(() => server.stop());

test("what a user makes nobody else reads or writes, and who tries is told what to do", async () => {
  const url = `zookeeper://shop:s%40cret@${server.address}/private`;
  const registry = await openZookeeperRegistry({ url, system: "shop" });
  const store = await openZookeeperKeyValue({ url, system: "shop" });
  await registry.register(endpointOf("alpha", 1), 5_000);
  await store.put("case/a", Buffer.from("1"), ANY);
  const again = await openZookeeperRegistry({ url, system: "shop" });
  assert.equal((await again.query(["alpha"])).endpoints.length, 1);

  const stranger = await connect(server.address);
  await assert.rejects(stranger.get("/private/shop/store/case:a"), { code: "permission_denied" });
  await assert.rejects(stranger.change({ op: "set", path: "/private/shop/barrier", data: Buffer.of(), version: -1 }), {
    code: "permission_denied",
  });
  await stranger.endSession();

  for (const login of ["", "shop:wrong@"]) {
    const elsewhere = `zookeeper://${login}${server.address}/private`;
    const refused = (error: { code: string; message: string }): boolean => {
      assert.equal(error.code, "permission_denied");
      assert.match(error.message, /zookeeper:\/\/USER:PASSWORD@HOST/);
      assert.doesNotMatch(error.message, /wrong|s@cret/);
      return true;
    };
    const started = performance.now();
    await assert.rejects(openZookeeperRegistry({ url: elsewhere, system: "shop" }), refused);
    await assert.rejects(openZookeeperKeyValue({ url: elsewhere, system: "shop" }), refused);
    assert.ok(performance.now() - started < 2_000, "it was waited for what waiting does not mend");
  }
  for (const one of [registry, store, again]) await one.close();
});

test("systems, and prefixes, do not see each other", async () => {
  const open = (prefix: string, system: string) =>
    openZookeeperRegistry({ url: `zookeeper://${server.address}${prefix}`, system });
  const [one, other, third] = [await open("", "one"), await open("", "other"), await open("/deeper/down", "one")];
  await one.register(endpointOf("alpha", 1), 5_000);
  assert.equal((await one.query(["*"])).endpoints.length, 1);
  assert.equal((await other.query(["*"])).endpoints.length, 0);
  assert.equal((await third.query(["*"])).endpoints.length, 0);
  for (const registry of [one, other, third]) await registry.close();
});

test("ids with what paths have not, and what others put there", async () => {
  const problems: string[] = [];
  const url = `zookeeper://${server.address}`;
  const registry = await openZookeeperRegistry({
    url,
    system: "names",
    onError: ({ message }) => problems.push(message),
  });
  const id = "[::1]:9000/a@b";
  await registry.register(endpointOf("alpha", 1, { id }), 60_000);
  const connection = await connect(server.address);
  const create = { op: "create" as const, ephemeral: false, access: "anyone" as const };
  const path = "/weft/names/endpoints";
  await connection.change({ ...create, path: `${path}/junk`, data: Buffer.from("no endpoint") });
  await connection.change({ ...create, path: `${path}/100%`, data: Buffer.from("{}") });
  await connection.change({ ...create, path: `${path}/large`, data: Buffer.alloc(100_000) });
  await registry.register(endpointOf("alpha", 2), 60_000);
  const fresh = await openZookeeperRegistry({ url, system: "names" });
  for (const one of [registry, fresh]) {
    const { endpoints } = await one.query(["alpha"]);
    assert.deepEqual(endpoints.map((endpoint) => endpoint.id).sort(), [id, "alpha-2"]);
  }
  await timeUntil(() => problems.length >= 3, "each is told");
  assert.equal(problems.length, 3, problems.join("\n"));
  assert.match(problems.join("\n"), /"junk"/);
  await registry.register(endpointOf("alpha", 3, { id: "junk" }), 60_000);
  await timeUntil(async () => (await fresh.query(["alpha"])).endpoints.length === 3, "it is written over");
  await fresh.register(endpointOf("alpha", 4, { id: "junk" }), 60_000);
  await timeUntil(
    async () => (await registry.query(["alpha"])).endpoints.some(({ host }) => host === "10.0.0.4"),
    "and replaced like any other",
  );
  await connection.endSession();
  await registry.close();
  await fresh.close();
});
