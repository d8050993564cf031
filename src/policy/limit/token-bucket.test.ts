import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TokenBuckets } from "./token-bucket.ts";

test("lets the burst through at once and then the rate", () => {
  const buckets = new TokenBuckets(10, 1_000, 5, 100);
  for (let i = 0; i < 5; i++) assert.equal(buckets.take("a", 0), 0);
  assert.equal(buckets.left("a", 0), 0);
  assert.ok(Math.abs(buckets.take("a", 0) - 100) < 1e-3);
  assert.equal(buckets.take("a", 100), 0);
  assert.ok(buckets.take("a", 150) > 0);
  assert.equal(buckets.take("b", 150), 0);
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
          if (buckets.take("k", now) === 0) passed.push(now);
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
  for (let i = 0; i < 10_000; i++) if (buckets.take(`key ${i}`, 0) === 0) passed++;
  assert.ok(buckets.keys <= 50);
  assert.equal(passed, 50 + 2);
  // Once the buckets are full again they give way.
  assert.equal(buckets.take("another", 10_000), 0);
  assert.ok(buckets.keys <= 50);
});
