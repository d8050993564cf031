import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PlaneSigns } from "./plane-signs.ts";

test("P1, P2: who writes often enough while somebody looks is never dead, whatever gaps there are", () => {
  const step = fc.record({ ms: fc.integer({ min: 1, max: 999 }), gap: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const signs = new PlaneSigns(1_000);
      let now = 0;
      for (const [sign, { ms, gap }] of steps.entries()) {
        now += ms;
        if (gap) {
          now += 50_000;
          signs.outOfTouch(now);
        } else signs.seen(new Map([["a", sign]]), [], now);
        assert.equal(signs.isDead("a"), false);
      }
    }),
  );
});

test("a sign that stays the same is of a dead plane, until there is another one", () => {
  const signs = new PlaneSigns(1_000);
  assert.equal(signs.seen(new Map([["a", 1]]), [], 0), false);
  assert.equal(signs.seen(new Map([["a", 1]]), [], 999), false);
  assert.equal(signs.seen(new Map([["a", 1]]), [], 1_000), true);
  assert.equal(signs.isDead("a"), true);
  signs.outOfTouch(1_500);
  assert.equal(signs.isDead("a"), true, "a gap revives nobody");
  assert.deepEqual(signs.deadFor(2_000, 1_900), []);
  assert.deepEqual(signs.deadFor(2_000, 2_000), ["a"]);
  assert.equal(signs.seen(new Map([["a", 2]]), [], 2_000), true);
  assert.equal(signs.isDead("a"), false);
});

test("P3: a plane without any sign is dead a period after it was asked for first", () => {
  const signs = new PlaneSigns(1_000);
  assert.equal(signs.seen(new Map(), ["a"], 0), false);
  assert.equal(signs.seen(new Map(), ["a"], 1_000), true);
  assert.equal(signs.isDead("a"), true);
  signs.forget("a");
  assert.equal(signs.isDead("a"), false);
});
