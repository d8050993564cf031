import assert from "node:assert/strict";
import { test } from "node:test";
import { kept } from "./kept.ts";

test("a value is made once, and the first makes room for one too many", () => {
  const values = new Map<string, object>();
  const a = kept(values, "a", 2, () => ({}));
  assert.equal(
    kept(values, "a", 2, () => ({})),
    a,
  );
  kept(values, "b", 2, () => ({}));
  kept(values, "c", 2, () => ({}));
  assert.deepEqual([...values.keys()], ["b", "c"]);
});
