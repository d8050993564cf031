import assert from "node:assert/strict";
import { test } from "node:test";
import { openRegistry } from "./open-registry.ts";
import { openStore } from "./open-store.ts";

const common = { dataDir: "", system: "shop", openTimeoutMs: 900 };
const YET = / does not answer yet; it is asked for 1 s before this is given up$/;

for (const [vendor, url] of [
  ["etcd", "etcd://me:secret@127.0.0.1:1"],
  ["Consul", "consul://secret@127.0.0.1:1"],
  ["ZooKeeper", "zookeeper://me:secret@127.0.0.1:1"],
  ["PostgreSQL", "postgres://me:secret@127.0.0.1:1/shop"],
] as const) {
  for (const [what, open] of [
    ["store", openStore],
    ["registry", openRegistry],
  ] as const) {
    test(`a ${what} at which nobody is: ${vendor} is said not to answer yet, and then what is wrong`, async () => {
      const told: string[] = [];
      let over = false;
      const tell = (message: string): void => {
        assert.ok(!over, "while it is still tried");
        told.push(message);
      };
      await assert.rejects(async () => open({ ...common, url, tell }), {
        code: "unavailable",
        message: /127\.0\.0\.1:1/,
      });
      over = true;
      // Some say besides, at once, what they found.
      const yet = told.filter((message) => YET.test(message));
      assert.ok(yet.length === 1 && yet[0].startsWith(vendor), told.join("\n"));
      assert.doesNotMatch(told.join(), /secret/);
    });
  }
}

test("of what is kept here, or is no url, nothing is said", async () => {
  const told: string[] = [];
  const tell = (message: string): void => void told.push(message);
  const { keyValue } = await openStore({ ...common, url: "", tell });
  await keyValue.close();
  await assert.rejects(openStore({ ...common, url: "consul://", tell }), { code: "invalid_argument" });
  assert.deepEqual(told, []);
});
