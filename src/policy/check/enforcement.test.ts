import assert from "node:assert/strict";
import { test } from "node:test";
import { RESOURCE_SHAPES } from "../resource/resource-shapes.ts";
import { POLICY_FIELD_NAMES } from "../snapshot/policy-fields.ts";
import { DATA_PLANES, ENFORCEMENT, isTabled } from "./enforcement.ts";

test("every kind and every field of a TrafficPolicy has a row: what nobody has thought about is not taken for enforced", () => {
  const wanted = [...Object.keys(RESOURCE_SHAPES), ...POLICY_FIELD_NAMES.map((name) => `TrafficPolicy.${name}`)];
  assert.deepEqual(
    wanted.filter((key) => !isTabled(key)),
    [],
  );
});

test("every row of a TrafficPolicy is of a field that there is, and rows name data planes with a reason", () => {
  for (const [key, row] of Object.entries(ENFORCEMENT)) {
    const [kind, field] = key.split("=")[0].split(".");
    if (kind === "TrafficPolicy" && field !== undefined && field !== "targetRefs")
      assert.ok((POLICY_FIELD_NAMES as readonly string[]).includes(field), key);
    for (const [plane, why] of Object.entries(row)) {
      assert.ok((DATA_PLANES as readonly string[]).includes(plane), key);
      assert.ok(why.length > 10, key);
    }
  }
});
