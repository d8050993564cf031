import assert from "node:assert/strict";
import { test } from "node:test";
import { startControlPlane } from "../control/control-plane.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { resolveSystem } from "../host/resolve-system.ts";
import { openControlLine } from "./control-line.ts";
import { systemResources } from "./resources.ts";

test("a start does not undo a roll-back, unless the description has changed", async (t) => {
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
