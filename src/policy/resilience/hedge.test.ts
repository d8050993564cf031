import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HedgeBudget } from "./hedge-budget.ts";
import { LatencyEstimate } from "./latency-estimate.ts";

test("a quantile is told within a bucket, and not shorter than it is", () => {
  const estimate = new LatencyEstimate();
  for (let i = 1; i <= 1_000; i++) estimate.record(i, 0);
  for (const q of [0.5, 0.9, 0.95, 0.99]) {
    const told = estimate.quantile(q, 0);
    assert.ok(told >= q * 1_000 && told <= q * 1_000 * 2 ** (1 / 8) + 1e-6, `${told} for ${q}`);
  }
});

test("E1: nothing is told on too little", () => {
  const estimate = new LatencyEstimate(10_000);
  for (let i = 0; i < 19; i++) estimate.record(5, 0);
  assert.equal(estimate.quantile(0.95, 0), -1);
  for (let i = 0; i < 31; i++) estimate.record(5, 0);
  assert.ok(estimate.quantile(0.95, 0) > 0);
  assert.equal(estimate.quantile(0.99, 0), -1);
  assert.equal(estimate.quantile(0.95, 30_000), -1, "what was known has faded");
});

test("what was long ago weighs less than what is now", () => {
  const estimate = new LatencyEstimate(10_000);
  for (let now = 0; now < 10_000; now += 10) estimate.record(100, now);
  for (let now = 10_000; now < 60_000; now += 10) estimate.record(10, now);
  assert.ok(estimate.quantile(0.95, 60_000) < 12);
});

test("E2: of like latencies at most the share beyond the quantile are longer", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.01, max: 90_000, noNaN: true }), { minLength: 100, maxLength: 400 }),
      fc.constantFrom(0.5, 0.9, 0.95, 0.99),
      (latencies, q) => {
        const estimate = new LatencyEstimate();
        for (const ms of latencies) estimate.record(ms, 0);
        const told = estimate.quantile(q, 0);
        const longer = latencies.filter((ms) => ms > told).length;
        assert.ok(longer <= (1 - q) * latencies.length + 1e-6, `${longer} of ${latencies.length} over ${told}`);
      },
    ),
  );
});

test("the hedge budget is never negative, and hedges never exceed the ratio of the calls", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.array(fc.boolean(), { maxLength: 600 }),
      (ratio, steps) => {
        const budget = new HedgeBudget(ratio);
        let calls = 0;
        let hedges = 0;
        for (const hedge of steps) {
          if (!hedge) {
            budget.deposit();
            calls++;
          } else if (budget.withdraw()) hedges++;
          assert.ok(hedges <= ratio * calls + 1e-6);
          assert.ok(budget.left >= 0);
        }
      },
    ),
  );
});
