import assert from "node:assert/strict";
import { test } from "node:test";
import { PlaneTable } from "./plane-table.ts";

test("a plane that renews lives, one that does not is dead after a period, and is back when it renews", () => {
  const planes = new PlaneTable(10_000);
  planes.seen("a", "1", 0);
  planes.seen("b", "1", 0);
  planes.seen("a", "2", 6_000);
  assert.deepEqual(planes.advance(9_999), []);
  assert.deepEqual(planes.advance(10_000), ["b"]);
  assert.deepEqual([planes.isDead("a"), planes.isDead("b")], [false, true]);
  assert.equal(planes.seen("b", "1", 11_000), false, "what was listed again is no renewal");
  assert.deepEqual(planes.advance(11_000), []);
  assert.equal(planes.seen("b", "2", 12_000), true);
  assert.equal(planes.isDead("b"), false);
});

test("whoever was out of touch gives everybody a full period", () => {
  const planes = new PlaneTable(10_000);
  planes.seen("a", "1", 0);
  planes.touched(30_000);
  assert.deepEqual(planes.advance(30_000), []);
  assert.deepEqual(planes.advance(40_000), ["a"]);
});

test("a Lease that is deleted ends its plane at once", () => {
  const planes = new PlaneTable(10_000);
  planes.seen("a", "1", 0);
  assert.equal(planes.gone("a", 1), true);
  assert.equal(planes.gone("a", 2), false);
  assert.equal(planes.isDead("a"), true);
  assert.equal(planes.seen("a", "1", 3), true, "made anew");
});

test("a plane that entries name, and whose Lease is never seen, is dead after a period; it is never unknown", () => {
  const planes = new PlaneTable(10_000);
  planes.mentioned("a", 0);
  planes.mentioned("a", 9_000);
  assert.equal(planes.isDead("a"), false);
  assert.deepEqual(planes.advance(10_000), ["a"]);
  assert.deepEqual(planes.deadBefore(10_001), [{ plane: "a", version: "" }]);
  planes.forget("a");
  assert.equal(planes.isDead("a"), false);
});
