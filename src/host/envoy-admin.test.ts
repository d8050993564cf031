import assert from "node:assert/strict";
import { test } from "node:test";
import { adminSocketOf } from "./envoy.ts";

test("an Envoy's administration is a socket in the state folder, or a short one where that is too deep for a socket", () => {
  assert.equal(adminSocketOf("/srv/shop/.weft", "orders-1"), "/srv/shop/.weft/known/orders-1.admin");
  const deep = adminSocketOf(`/srv/${"deep/".repeat(30)}.weft`, "orders-1");
  assert.ok(Buffer.byteLength(deep) <= 103, deep);
  assert.notEqual(deep, adminSocketOf(`/srv/${"deep/".repeat(30)}.weft`, "orders-2"));
});
