import assert from "node:assert/strict";
import { test } from "node:test";
import { route, traffic } from "../policy/builders.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { alsoNeeded } from "./also-needed.ts";

test("stand-bys, backends and mirrors of what is followed are needed too, those of others are not", () => {
  const [made] = route("/").to({ "products@v2": 1, catalogue: 1 }).mirror("shadow").resources();
  const parentRefs = [{ kind: "Service", name: "products" }];
  const resources = [
    ...traffic("products").fallback({ service: "products-standby@v1" }).resources(),
    ...traffic("orders").fallback({ service: "orders-standby" }).resources(),
    ...traffic("p.Products/Get").fallback({ service: "reads" }).resources(),
    { ...made, spec: { ...made.spec, parentRefs } } as unknown as Resource,
    ...route("/x").to("elsewhere").resources(),
  ];
  const needed = alsoNeeded(resources, (service) => service === "products");
  assert.deepEqual([...needed].sort(), ["catalogue", "products-standby", "reads", "shadow"]);
});
