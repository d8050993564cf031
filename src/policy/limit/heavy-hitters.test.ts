import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { HeavyHitters } from "./heavy-hitters.ts";

test("bounds hold for every key that is kept, and every frequent key is kept", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 12 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 5 })), { maxLength: 400 }),
      (capacity, stream) => {
        const hitters = new HeavyHitters(capacity, 1_000);
        const truth = new Map<string, number>();
        let total = 0;
        for (const [key, weight] of stream) {
          const certain = hitters.add(`${key}`, weight, 0);
          truth.set(`${key}`, (truth.get(`${key}`) ?? 0) + weight);
          total += weight;
          assert.ok(certain <= (truth.get(`${key}`) ?? 0));
        }
        assert.equal(hitters.total, total);
        assert.ok(hitters.keys <= capacity);
        for (const [key, count] of truth) {
          const [least, most] = hitters.boundsOf(key);
          if (most > 0) assert.ok(least <= count && count <= most);
          else assert.ok(count <= total / capacity, `${key} with ${count} of ${total} is not kept`);
        }
      },
    ),
  );
});

test("what was hot is forgotten", () => {
  const hitters = new HeavyHitters(8, 1_000);
  for (let i = 0; i < 100; i++) hitters.add("old", 1, 0);
  for (let i = 0; i < 100; i++) hitters.add("new", 1, 10_000);
  assert.ok(hitters.boundsOf("old")[1] < 1);
  assert.ok(hitters.boundsOf("new")[0] / hitters.total > 0.99);
});

test("finds the few that matter among many in little room", () => {
  const random = seededRandom(7);
  const hitters = new HeavyHitters(64, 1e9);
  for (let i = 0; i < 50_000; i++) {
    const draw = random.next();
    hitters.add(draw < 0.1 ? "whale" : draw < 0.15 ? "shark" : `fish ${Math.floor(random.next() * 1e6)}`, 1, 0);
  }
  const share = (key: string) => hitters.boundsOf(key)[0] / hitters.total;
  assert.ok(share("whale") > 0.09 && share("whale") <= 0.11);
  assert.ok(share("shark") > 0.03);
});
