import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createDirectClient } from "../call/direct.ts";
import { Admin } from "../contract/gen/weft/control/v1/control.ts";
import { startControlPlane } from "../control/control-plane.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { resolveSystem } from "../host/resolve-system.ts";
import { openControlLine } from "./control-line.ts";
import { systemResources } from "./resources.ts";

/** A control plane, a line of `weft up` to it, and what that tells people. */
async function started(t: TestContext) {
  const plane = await startControlPlane({ registry: createMemoryRegistry() });
  t.after(() => plane.stop());
  const told: string[] = [];
  const line = await openControlLine(
    plane.address,
    () => {},
    (error) => told.push(error.message),
    () => "",
  );
  t.after(() => line.close());
  return { plane, line, told };
}

test("a start does not undo a roll-back, unless the description has changed", async (t) => {
  const { plane, line, told } = await started(t);
  const system = (timeout: string) =>
    resolveSystem(
      {
        name: "shop",
        services: { orders: { run: ["node", "x.js"] } },
        resources: [
          {
            apiVersion: "weftmesh.dev/v1",
            kind: "TrafficPolicy",
            metadata: { name: "orders" },
            spec: { targetRefs: [{ kind: "Service", name: "orders" }], timeout },
          },
        ],
      },
      "weft.yaml",
      import.meta.dirname,
      () => null,
    );
  await line.publish(system("1s"));
  await line.publish(system("2s"));
  assert.equal(plane.revision, 2);
  const text = JSON.stringify(systemResources(system("1s")).resources);
  await plane.publish({ text, source: "revision 1", author: "ada", reason: "rollback to revision 1" });
  await line.publish(system("2s"));
  assert.equal(plane.revision, 3, "the start undid what was rolled back");
  assert.match(
    told.join(),
    /^revision 3 \(ada, "rollback to revision 1"\) stays in force: weft\.yaml is as it was when revision 2 was published from it/,
  );
  await line.publish(system("3s"));
  assert.equal(plane.revision, 4, "a description that was changed is not put in force");
  await line.publish(system("3s"));
  assert.equal(plane.revision, 4);
  assert.equal(told.length, 1);
});

test("first settings are set where nobody has set them, before resources, and a start leaves the rest as it is", async (t) => {
  const { plane, line, told } = await started(t);
  const { client, close } = createDirectClient(Admin, plane.address);
  t.after(() => close());
  const system = (settings: object, timeout = "1s") => {
    const spec = { targetRefs: [{ kind: "Service", name: "orders" }], timeout };
    const policy = { apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata: { name: "orders" }, spec };
    const description = {
      name: "shop",
      services: { orders: { run: ["node", "x.js"] } },
      settings,
      resources: [policy],
    };
    return resolveSystem(description, "weft.yaml", import.meta.dirname, () => null);
  };
  const values = async () => {
    const { namespaces } = JSON.parse((await client.getSettings({})).settings);
    return Object.fromEntries(
      Object.entries(namespaces.orders.values).map(([key, entry]) => [key, (entry as { value: unknown }).value]),
    );
  };
  await line.publish(system({ orders: { maxItems: 5, hosts: ["a"] } }));
  assert.deepEqual(await values(), { maxItems: 5, hosts: ["a"] });
  const { revisions } = await client.listRevisions({});
  assert.deepEqual(
    revisions.map(({ revision, author, changes }) => [Number(revision), author, changes]),
    [
      [2, "weft up", ["TrafficPolicy orders"]],
      [1, "weft up", ["settings orders/hosts", "settings orders/maxItems"]],
    ],
  );
  await line.publish(system({ orders: { maxItems: 5, hosts: ["a"] } }));
  assert.equal(plane.revision, 2, "a second start makes no revision");
  const set = { key: "maxItems", json: "7" };
  await client.publishSettings({
    changes: [{ namespace: "orders", change: { case: "set", value: set } }],
    author: "ada",
  });
  await line.publish(system({ orders: { maxItems: 6, hosts: ["b"], mode: "fast" } }));
  assert.deepEqual(await values(), { maxItems: 7, hosts: ["a"], mode: "fast" });
  // A start that only sets something new does not undo what somebody published meanwhile.
  const text = JSON.stringify(systemResources(system({}, "2s")).resources);
  await plane.publish({ text, source: "x", author: "ada", reason: "slower" });
  await line.publish(system({ orders: { more: true } }));
  const { resources } = await client.getRevision({});
  assert.match(resources, /"timeout":"2s"/);
  assert.match(told.join(), /^revision 5 \(ada, "slower"\) stays in force|^revision \d+ .* stays in force/);
});

test("first settings that cannot be are told with their place", () => {
  const settings = { Orders: {}, orders: { "9": 1, limit: Number.NaN, call: () => 1, fine: [1] }, users: 3 };
  const description = { name: "shop", services: { orders: { run: ["node", "x.js"] } }, settings };
  assert.throws(
    () => resolveSystem(description, "weft.config.ts", import.meta.dirname, () => null),
    ({ message }: Error) => {
      for (const line of [
        /settings\.Orders.*DNS label/,
        /settings\.orders\.(?:"9"|9).*a key is/,
        /settings\.orders\.limit.*no such number/,
        /settings\.orders\.call.*no function/,
        /settings\.users.*must be an object/,
      ])
        assert.match(message, line);
      return !message.includes("fine");
    },
  );
});
