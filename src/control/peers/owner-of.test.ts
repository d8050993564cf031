import assert from "node:assert/strict";
import test from "node:test";
import { ownerOf } from "./owner-of.ts";

test("keys spread evenly, and only those of one that goes move", () => {
  const ids = ["a", "b", "c"];
  const keys = Array.from({ length: 3_000 }, (_, n) => `limit ${n}`);
  const before = keys.map((key) => ownerOf(key, ids));
  for (const id of ids) {
    const share = before.filter((owner) => owner === id).length;
    assert.ok(share > 850 && share < 1_150, `${id} has ${share}`);
  }
  keys.forEach((key, i) => {
    const after = ownerOf(key, ["c", "a"]);
    if (before[i] !== "b") assert.equal(after, before[i]);
  });
});
