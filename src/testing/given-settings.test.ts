import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { createRuntime } from "../service/runtime.ts";
import { settings } from "../service/settings/settings.ts";
import { giveSettings } from "./given-settings.ts";

mock.method(console, "error", () => {});

test("a test gives settings, and others while they are used", async () => {
  const runtime = createRuntime({ env: { WEFT_SERVICE: "orders" } });
  const given = giveSettings({ orders: { maxItems: 5 } }, { runtime });
  const schema = { properties: { maxItems: { type: "integer", default: 10 } } };
  const values = await settings<{ maxItems: number }>(schema, { runtime });
  const other = await settings<{ maxItems: number }>(schema, { runtime, namespace: "other" });
  assert.deepEqual([values.maxItems, other.maxItems], [5, 10]);
  await given.set("orders", { maxItems: 6 });
  assert.deepEqual([values.maxItems, other.maxItems], [6, 10]);
  await assert.rejects(given.set("orders", { maxItems: "many" }), /maxItems: must be integer, not string/);
  assert.equal(values.maxItems, 6);
});
