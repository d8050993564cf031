import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TokenBuckets } from "./token-bucket.ts";

test("lets the burst through at once and then the rate", () => {
  const buckets = new TokenBuckets(10, 1_000, 5, 100);
  for (let i = 0; i < 5; i++) assert.equal(buckets.take("a", 1, 1, 0), 0);
  assert.equal(buckets.left, 0);
  assert.ok(Math.abs(buckets.take("a", 1, 1, 0) - 100) < 1e-3);
  assert.equal(buckets.take("a", 1, 1, 100), 0);
  assert.ok(buckets.take("a", 1, 1, 150) > 0);
  assert.equal(buckets.take("b", 1, 1, 150), 0);
});

test("in no window more than burst plus rate x time pass", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.constantFrom(100, 1_000, 60_000),
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { maxLength: 300 }),
      (requests, perMs, burst, waits) => {
        const buckets = new TokenBuckets(requests, perMs, burst, 10);
        const passed: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          if (buckets.take("k", 1, 1, now) === 0) passed.push(now);
        }
        for (let i = 0; i < passed.length; i++) {
          for (let j = i; j < passed.length; j++) {
            assert.ok(j - i + 1 <= burst + ((passed[j] - passed[i]) * requests) / perMs + 1e-6);
          }
        }
      },
    ),
  );
});

test("keeps no more than maxKeys, and inventing keys gains nothing once they are in use", () => {
  const buckets = new TokenBuckets(1, 1_000, 2, 50);
  let passed = 0;
  for (let i = 0; i < 10_000; i++) if (buckets.take(`key ${i}`, 1, 1, 0) === 0) passed++;
  assert.ok(buckets.keys <= 50);
  assert.equal(passed, 50 + 2);
  // Once the buckets are full again they give way.
  assert.equal(buckets.take("another", 1, 1, 10_000), 0);
  assert.ok(buckets.keys <= 50);
});

test("a longest wait reserves places one after the other, evenly spaced", () => {
  const buckets = new TokenBuckets(10, 1_000, 1, 100, 250);
  assert.equal(buckets.take("a", 1, 1, 0), 0);
  assert.deepEqual([buckets.take("a", 1, 1, 0), buckets.taken], [100, true]);
  assert.deepEqual([buckets.take("a", 1, 1, 0), buckets.taken], [200, true]);
  assert.deepEqual([buckets.take("a", 1, 1, 0), buckets.taken], [300, false]);
  // A call that cannot wait so long takes no place.
  assert.deepEqual([buckets.take("b", 1, 1, 0), buckets.take("b", 1, 1, 0, 50), buckets.taken], [0, 100, false]);
});

test("what waited passes no faster than the rate", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.double({ min: 0, max: 80, noNaN: true }), { maxLength: 200 }),
      (requests, burst, waits) => {
        const buckets = new TokenBuckets(requests, 1_000, burst, 10, 400);
        const passed: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          const waitMs = buckets.take("k", 1, 1, now);
          if (buckets.taken) passed.push(now + waitMs);
        }
        for (let i = 0; i < passed.length; i++)
          for (let j = i; j < passed.length; j++)
            assert.ok(j - i + 1 <= burst + ((passed[j] - passed[i]) * requests) / 1_000 + 1e-6);
      },
    ),
  );
});

test("shared out, each process lets its part pass, and all together no more than the rate", () => {
  const peers = 4;
  const nodes = Array.from({ length: peers }, () => new TokenBuckets(100, 1_000, 100, 10));
  let passed = 0;
  for (let now = 0; now < 10_000; now += 1) for (const node of nodes) if (node.take("k", 1, peers, now) === 0) passed++;
  assert.ok(passed <= 100 + 10 * 100 && passed > 1_050, `${passed}`);
});

test("a dear call takes more, and one dearer than the bucket waits for a full one", () => {
  const buckets = new TokenBuckets(10, 1_000, 10, 10);
  assert.equal(buckets.take("a", 8, 1, 0), 0);
  assert.equal(buckets.left, 2);
  assert.ok(buckets.take("a", 3, 1, 0) > 0);
  assert.equal(buckets.take("b", 25, 1, 0), 0);
  assert.ok(Math.abs(buckets.take("b", 1, 1, 0) - 1_600) < 1e-3); // 25 were taken from 10: there is one again when 16 have come
});
