import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PlaneSigns } from "./plane-signs.ts";

test("P1, P2: who writes often enough while somebody looks is never dead, whatever gaps there are", () => {
  const step = fc.record({ ms: fc.integer({ min: 1, max: 999 }), gap: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const signs = new PlaneSigns<number>(1_000);
      let now = 0;
      for (const [sign, { ms, gap }] of steps.entries()) {
        now += ms;
        if (gap) {
          now += 50_000;
          signs.outOfTouch(now);
        } else signs.seen("a", sign, now);
        assert.deepEqual(signs.advance(now), []);
        assert.equal(signs.isDead("a"), false);
      }
    }),
  );
});

test("a sign that stays the same is of a dead plane, until there is another one", () => {
  const signs = new PlaneSigns<string>(1_000);
  signs.seen("a", "1", 0);
  signs.seen("b", "1", 0);
  signs.seen("b", "2", 600);
  signs.seen("a", "1", 999);
  assert.deepEqual(signs.advance(999), []);
  assert.deepEqual(signs.advance(1_000), ["a"]);
  assert.deepEqual([signs.isDead("a"), signs.isDead("b")], [true, false]);
  assert.equal(signs.seen("a", "1", 1_100), false, "what is listed again is no other sign");
  assert.deepEqual(signs.advance(1_100), [], "it died once");
  assert.equal(signs.seen("a", "2", 1_200), true);
  assert.equal(signs.isDead("a"), false);
});

test("P2: a gap gives the living a whole period, and revives nobody", () => {
  const signs = new PlaneSigns<number>(1_000);
  signs.seen("a", 1, 0);
  signs.advance(1_000);
  signs.seen("b", 1, 1_500);
  signs.outOfTouch(30_000);
  assert.deepEqual(signs.advance(30_999), []);
  assert.equal(signs.isDead("a"), true);
  assert.deepEqual(signs.advance(31_000), ["b"]);
});

test("a sign that is taken away ends its plane at once, until it is made anew", () => {
  const signs = new PlaneSigns<string>(1_000);
  signs.seen("a", "1", 0);
  assert.equal(signs.ended("a", 1), true);
  assert.equal(signs.ended("a", 2), false);
  assert.equal(signs.isDead("a"), true);
  assert.equal(signs.seen("a", "1", 3), true);
  assert.equal(signs.isDead("a"), false);
});

test("P3: a plane without any sign is dead a period after it was named first", () => {
  const signs = new PlaneSigns<number>(1_000);
  signs.named("a", 0);
  signs.named("a", 900);
  assert.deepEqual(signs.advance(999), []);
  assert.deepEqual(signs.advance(1_000), ["a"]);
  assert.equal(signs.isDead("a"), true);
});

test("who is dead for long is said with the last sign, and can be forgotten", () => {
  const signs = new PlaneSigns<string>(1_000);
  signs.seen("a", "1", 0);
  signs.ended("b", 0);
  signs.advance(1_000);
  assert.deepEqual(signs.deadFor(2_000, 1_999), []);
  assert.deepEqual(signs.deadFor(2_000, 2_000), [{ plane: "b", sign: null }]);
  assert.deepEqual(signs.deadFor(2_000, 3_000), [
    { plane: "a", sign: "1" },
    { plane: "b", sign: null },
  ]);
  signs.forget("a");
  assert.equal(signs.isDead("a"), false);
});
