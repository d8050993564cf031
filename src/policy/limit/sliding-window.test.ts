import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SlidingWindows } from "./sliding-window.ts";

test("in no window of the length more than the limit pass, whatever it begins with", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 120 }), // below and above what is logged
      fc.constantFrom(100, 1_000),
      fc.array(fc.tuple(fc.double({ min: 0, max: 40, noNaN: true }), fc.integer({ min: 1, max: 4 })), {
        maxLength: 400,
      }),
      (requests, perMs, calls) => {
        const windows = new SlidingWindows(requests, perMs, 10);
        const passed: [at: number, cost: number][] = [];
        let now = 0;
        for (const [wait, cost] of calls) {
          now += wait;
          if (windows.take("k", Math.min(cost, requests), 1, now) === 0) passed.push([now, Math.min(cost, requests)]);
        }
        for (let i = 0; i < passed.length; i++) {
          let within = 0;
          for (let j = i; j < passed.length && passed[j][0] < passed[i][0] + perMs; j++) within += passed[j][1];
          assert.ok(within <= requests, `${within} of ${requests} in the window from ${passed[i][0]}`);
        }
      },
    ),
  );
});

test("what is refused passes after the time that was told, when nobody came before", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 120 }),
      fc.array(fc.double({ min: 0, max: 30, noNaN: true }), { minLength: 1, maxLength: 300 }),
      (requests, waits) => {
        const windows = new SlidingWindows(requests, 1_000, 10);
        let now = 0;
        for (const wait of waits) {
          now += wait;
          const waitMs = windows.take("k", 1, 1, now);
          assert.ok(waitMs <= 1_000 * (33 / 32) + 1e-6);
          if (waitMs > 0) assert.equal(windows.take("k", 1, 1, (now += waitMs + 1e-6)), 0);
        }
      },
    ),
  );
});

test("small limits are exact; large ones refuse at most a 32nd of the window longer", () => {
  const exact = new SlidingWindows(2, 1_000, 10);
  assert.deepEqual([exact.take("a", 1, 1, 0), exact.take("a", 1, 1, 400), exact.left], [0, 0, 0]);
  assert.equal(exact.take("a", 1, 1, 900), 100);
  assert.equal(exact.take("a", 1, 1, 1_000), 0);
  const large = new SlidingWindows(100, 3_200, 10);
  for (let i = 0; i < 100; i++) assert.equal(large.take("a", 1, 1, 50), 0);
  assert.equal(large.take("a", 1, 1, 3_200), 100);
  assert.equal(large.take("a", 1, 1, 3_300), 0);
});

test("keeps no more than maxKeys; keys with nothing in the window give way", () => {
  const windows = new SlidingWindows(2, 1_000, 20);
  let passed = 0;
  for (let i = 0; i < 1_000; i++) if (windows.take(`key ${i}`, 1, 1, 0) === 0) passed++;
  assert.equal(windows.keys, 20);
  assert.equal(passed, 20 + 2);
  assert.equal(windows.take("another", 1, 1, 2_000), 0);
  assert.equal(windows.keys, 20);
});

test("shared out among processes, all together stay below the limit", () => {
  const nodes = [0, 1, 2].map(() => new SlidingWindows(90, 1_000, 10));
  let passed = 0;
  for (let now = 0; now < 1_000; now += 5) for (const node of nodes) if (node.take("k", 1, 3, now) === 0) passed++;
  assert.equal(passed, 90);
});
