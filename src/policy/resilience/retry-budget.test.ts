import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RetryBudget } from "./retry-budget.ts";

test("allows the reserve when there was no call: a second's at the start, ten seconds' later", () => {
  const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 10, ttlMs: 10_000 });
  const take = (now: number): number => {
    let made = 0;
    while (budget.withdraw(now)) made++;
    return made;
  };
  assert.equal(take(0), 10);
  assert.equal(budget.left(0), 0);
  assert.equal(take(500), 5);
  assert.equal(take(30_999), 99);
});

test("over a long time the reserve is what it says a second, however it is used", () => {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 10, ttlMs: 10_000 });
  let made = 0;
  for (let now = 0; now < 60_000; now += 10) while (budget.withdraw(now)) made++;
  assert.ok(made <= 600 && made >= 570, `${made}`);
});

test("is never negative, and retries never exceed reserve plus ratio of the window's calls", () => {
  const step = fc.record({ wait: fc.integer({ min: 0, max: 700 }), retry: fc.boolean() });
  const settings = fc.record({
    ratio: fc.double({ min: 0, max: 1, noNaN: true }),
    minPerSecond: fc.integer({ min: 0, max: 3 }),
    ttlMs: fc.constantFrom(1_000, 5_000, 10_000),
  });
  fc.assert(
    fc.property(settings, fc.array(step, { maxLength: 400 }), (chosen, steps) => {
      const budget = new RetryBudget(chosen);
      const calls: number[] = [];
      const retries: number[] = [];
      let now = 0;
      for (const { wait, retry } of steps) {
        now += wait;
        if (!retry) {
          budget.deposit(now);
          calls.push(now);
        } else if (budget.withdraw(now)) {
          retries.push(now);
          const recent = (times: number[]): number => times.filter((at) => now - at < chosen.ttlMs).length;
          const most = (chosen.minPerSecond * chosen.ttlMs) / 1000 + chosen.ratio * recent(calls);
          assert.ok(recent(retries) <= most + 1e-9);
        }
        assert.ok(budget.left(now) >= 0);
        assert.ok(budget.left(now) <= budget.size(now));
      }
    }),
  );
});
