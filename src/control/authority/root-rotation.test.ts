import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { advanceRoots, nextDueMs, type RootState, wantsRoot } from "./root-rotation.ts";

const times = { overlapMs: 100, renewBeforeMs: 1_000 };
const first: RootState = { id: "a", state: "signing", sinceMs: 0, notAfterMs: 10_000 };
const states = (roots: readonly RootState[]): string => roots.map(({ id, state }) => `${id} ${state}`).join(", ");

test("a root is distributed, signs, retires and is dropped, each in its time", () => {
  let roots: readonly RootState[] = [first, { ...first, id: "b", state: "distributing", sinceMs: 1_000 }];
  assert.equal(advanceRoots(roots, 1_099, times), roots);
  assert.equal(nextDueMs(roots, times), 1_100);
  roots = advanceRoots(roots, 1_100, times);
  assert.equal(states(roots), "a retiring, b signing");
  assert.equal(advanceRoots(roots, 1_199, times), roots);
  roots = advanceRoots(roots, 1_200, times);
  assert.equal(states(roots), "b signing");
});

test("another root is wanted when little is left of the one that signs, and none while one is on its way", () => {
  assert.equal(wantsRoot([first], 8_999, times), false);
  assert.equal(wantsRoot([first], 9_000, times), true);
  assert.equal(nextDueMs([first], times), 9_000);
  assert.equal(wantsRoot([first, { ...first, state: "distributing" }], 9_500, times), false);
});

test("a root that comes after one that has run out signs at once", () => {
  const roots: readonly RootState[] = [
    first,
    { ...first, id: "b", state: "distributing", sinceMs: 10_000, notAfterMs: 20_000 },
  ];
  assert.equal(advanceRoots(roots, 9_999, times), roots);
  assert.equal(states(advanceRoots(roots, 10_000, times)), "a retiring, b signing");
});

test("invariants 1 to 3 hold for any times at which it is looked at and rotated", () => {
  const step = fc.record({ afterMs: fc.integer({ min: 0, max: 400 }), rotate: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let now = 0;
      let roots: readonly RootState[] = [{ ...first, notAfterMs: 100_000 }];
      const distributed = new Map([["a", Number.NEGATIVE_INFINITY]]);
      const stopped = new Map<string, number>();
      for (const { afterMs, rotate } of steps) {
        now += afterMs;
        const before = roots;
        roots = advanceRoots(roots, now, times);
        assert.equal(roots.filter(({ state }) => state === "signing").length, 1, "invariant 1");
        for (const { id, state } of roots) {
          if (state === "signing") assert.ok(now - (distributed.get(id) ?? now) >= times.overlapMs, "invariant 2");
          if (state === "retiring" && !stopped.has(id)) stopped.set(id, now);
        }
        for (const { id } of before)
          if (!roots.some((root) => root.id === id))
            assert.ok(now - (stopped.get(id) ?? now) >= times.overlapMs, "invariant 3");
        if (!rotate || roots.length > 1) continue;
        const id = String(now);
        distributed.set(id, now);
        roots = [...roots, { id, state: "distributing", sinceMs: now, notAfterMs: now + 100_000 }];
      }
    }),
  );
});
