import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { levelLoads } from "./level-loads.ts";
import { zoneShares } from "./zone-shares.ts";

const shares = (healthy: number[], total: number[], panic = 0.5) => {
  const loads = levelLoads(healthy, total, 1.4, panic);
  return [Array.from(loads.share, Math.round), Array.from(loads.panic)];
};

test("priorities spill over as in Envoy's documentation, overprovisioning 1.4", () => {
  // "Priority levels", the table for two levels of which the second is whole.
  for (const [healthy, first] of [
    [100, 100],
    [72, 100],
    [71, 99],
    [50, 70],
    [25, 35],
    [0, 0],
  ]) {
    const [share] = shares([healthy, 100], [100, 100]);
    assert.ok(Math.abs(share[0] - first) <= 1, `${healthy}: ${share}`);
    assert.equal(share[0] + share[1], 100);
  }
  // The table for three levels: P0 25 %, P1 25 %, P2 25 % healthy: 35 % each, in all 105 % of which 100 are needed.
  assert.deepEqual(shares([25, 25, 25], [100, 100, 100])[0], [35, 35, 30]);
  // P0 5 %, P1 0, P2 65 %: 7 % + 91 % = 98 %, scaled up.
  assert.deepEqual(shares([5, 0, 65], [100, 100, 100], 0)[0], [7, 0, 93]);
  // P0 25 % and P1 25 %: 70 % in all, half each.
  assert.deepEqual(shares([25, 25], [100, 100], 0)[0], [50, 50]);
});

test("panic: only when the levels together have too few, and then by level; in all of them, by their endpoints", () => {
  assert.deepEqual(shares([40, 100], [100, 100]), [
    [56, 44],
    [0, 0],
  ]);
  assert.deepEqual(shares([30, 55], [100, 100])[1], [0, 0]); // 42 % + 77 %: enough
  assert.deepEqual(shares([20, 50], [100, 100])[1], [1, 0]); // 28 % + 70 %: not enough
  assert.deepEqual(shares([10, 10], [100, 300]), [
    [25, 75],
    [1, 1],
  ]);
  assert.deepEqual(shares([0, 0], [2, 2]), [
    [50, 50],
    [1, 1],
  ]);
  assert.deepEqual(shares([0, 0], [2, 2], 0), [
    [100, 0],
    [0, 0],
  ]);
});

test("whatever the health, shares add up to 100 and no level gets more than its health allows while there is enough", () => {
  const level = fc.tuple(fc.nat(20), fc.nat(20)).map(([healthy, sick]) => ({ healthy, total: healthy + sick }));
  fc.assert(
    fc.property(fc.array(level, { minLength: 1, maxLength: 6 }), (levels) => {
      const healthy = levels.map((one) => one.healthy);
      const total = levels.map((one) => one.total);
      const { share, panic } = levelLoads(healthy, total, 1.4, 0.5);
      assert.ok(Math.abs(share.reduce((sum, one) => sum + one, 0) - 100) < 1e-6);
      const health = levels.map((one) => (one.total === 0 ? 0 : Math.min(100, (140 * one.healthy) / one.total)));
      if (health.reduce((sum, one) => sum + one, 0) < 100) return;
      share.forEach((one, i) => {
        assert.ok(one <= health[i] + 1e-6);
        assert.equal(panic[i], 0);
      });
    }),
  );
});

test("calls stay in their zone when it has its share of the endpoints", () => {
  const even = new Map([
    ["a", 2],
    ["b", 2],
    ["c", 2],
  ]);
  assert.equal(zoneShares("a", even, even, 6).local, 100);
  assert.equal(zoneShares("a", even, new Map(), 6).local, 100); // callers that are not known are spread as the endpoints' zones
  assert.equal(zoneShares("", even, even, 6).local, -1);
  assert.equal(zoneShares("d", even, even, 6).local, -1);
  assert.equal(zoneShares("a", even, even, 7).local, -1);
});

test("otherwise as many stay as it can carry, and the rest goes where there are more endpoints than callers", () => {
  const endpoints = new Map([
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ]);
  const callers = new Map([
    ["a", 2],
    ["b", 2],
    ["c", 2],
  ]);
  const { local, byZone } = zoneShares("a", endpoints, callers, 6);
  assert.equal(Math.round(local), 50);
  assert.deepEqual([...byZone.keys()], ["a", "c"]); // b carries its own callers only
  assert.equal(Math.round(byZone.get("c") ?? 0), 50);
});

test("every zone gets calls in proportion to its endpoints, whatever the callers' zones", () => {
  const counts = fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 })), {
    minLength: 2,
    maxLength: 6,
  });
  fc.assert(
    fc.property(counts, (zones) => {
      const endpoints = new Map(zones.map(([count], i) => [`z${i}`, count]));
      const callers = new Map(zones.map(([, count], i) => [`z${i}`, count]));
      const calls = new Map<string, number>();
      const all = zones.reduce((sum, [, count]) => sum + count, 0);
      for (const [zone, count] of callers) {
        for (const [to, share] of zoneShares(zone, endpoints, callers, 1).byZone)
          calls.set(to, (calls.get(to) ?? 0) + (share / 100) * (count / all));
      }
      const servers = zones.reduce((sum, [count]) => sum + count, 0);
      for (const [zone, count] of endpoints) assert.ok(Math.abs((calls.get(zone) ?? 0) - count / servers) < 1e-9, zone);
    }),
  );
});
