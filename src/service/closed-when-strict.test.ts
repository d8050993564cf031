import assert from "node:assert/strict";
import { test } from "node:test";
import type { MutualTls } from "../core/identity.ts";
import { closedWhenStrict } from "./closed-when-strict.ts";

test("a service that takes mutual TLS alone is closed where its process has no identity, which is told once", () => {
  let mode: MutualTls = "permissive";
  const told: string[] = [];
  const closed = closedWhenStrict("orders", { mutualTls: () => mode }, (error) => told.push(error.message));
  assert.equal(closed(), false);
  mode = "strict";
  assert.deepEqual([closed(), closed()], [true, true]);
  assert.equal(told.length, 1);
  assert.match(told[0], /weft token create orders/);
  mode = "off";
  assert.equal(closed(), false);
  mode = "strict";
  assert.equal(closed(), true);
  assert.equal(told.length, 2);
});
