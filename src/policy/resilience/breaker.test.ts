import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConditionSet } from "../resource/conditions.ts";
import { Admission, Breaker, type BreakerSettings } from "./breaker.ts";

const SETTINGS: BreakerSettings = {
  consecutiveFailures: 0,
  failureRatio: 0.5,
  slowRatio: 0,
  slowMs: 60_000,
  minRequests: 20,
  windowMs: 10_000,
  sleepMs: 5_000,
  quorum: 0,
  on: new ConditionSet(["5xx"]),
};

test("opens when half of at least twenty calls in the window failed", () => {
  const breaker = new Breaker(SETTINGS);
  for (let i = 0; i < 9; i++) {
    breaker.succeeded(false, i);
    breaker.failed(false, i);
  }
  breaker.succeeded(false, 20);
  assert.equal(breaker.state, "closed");
  breaker.failed(false, 21);
  assert.equal(breaker.state, "open");
});

test("forgets failures that left the window", () => {
  const breaker = new Breaker(SETTINGS);
  for (let i = 0; i < 19; i++) breaker.failed(false, 0);
  breaker.failed(false, 11_000);
  assert.equal(breaker.state, "closed");
});

test("opens after failures in a row, and a success breaks the row", () => {
  const breaker = new Breaker({ ...SETTINGS, failureRatio: 0, consecutiveFailures: 3 });
  breaker.failed(false, 0);
  breaker.failed(false, 0);
  breaker.succeeded(false, 0);
  breaker.failed(false, 0);
  breaker.failed(false, 0);
  assert.equal(breaker.state, "closed");
  breaker.failed(false, 0);
  assert.equal(breaker.state, "open");
});

test("opens when too many of the window's calls were slow, and B4: a slow probe opens it again", () => {
  const breaker = new Breaker({ ...SETTINGS, failureRatio: 0, slowRatio: 0.5, slowMs: 100 });
  for (let i = 0; i < 10; i++) {
    breaker.succeeded(false, i, 100);
    breaker.succeeded(false, i, i < 9 ? 101 : 100);
  }
  assert.equal(breaker.state, "closed");
  assert.deepEqual(breaker.counts(10), { calls: 20, failures: 0, slow: 9 });
  breaker.failed(false, 10, 500);
  breaker.succeeded(false, 10, 500);
  assert.equal(breaker.state, "open");
  assert.equal(breaker.admit(5_010), Admission.probe);
  breaker.succeeded(true, 5_200, 190);
  assert.equal(breaker.state, "open");
  assert.equal(breaker.admit(10_200), Admission.probe);
  breaker.succeeded(true, 10_300, 100);
  assert.equal(breaker.state, "closed");
  assert.equal(breaker.openings, 1);
});

test("a probe that is forgotten lets the next one through at once", () => {
  const breaker = new Breaker({ ...SETTINGS, consecutiveFailures: 1 });
  breaker.failed(false, 0);
  assert.equal(breaker.admit(5_000), Admission.probe);
  breaker.forget(true);
  assert.equal(breaker.admit(5_001), Admission.probe);
});

test("B1 B2 B3: never two probes, nothing while open, late results do not close it", () => {
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 3_000 }),
    act: fc.constantFrom("admit", "succeed", "fail", "succeed", "fail", "forget", "late success"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 5 }), (steps, consecutiveFailures) => {
      const breaker = new Breaker({ ...SETTINGS, consecutiveFailures });
      const underWay: boolean[] = [];
      let now = 0;
      let openedAt = Number.NEGATIVE_INFINITY;
      for (const { wait, act } of steps) {
        now += wait;
        const before = breaker.state;
        if (act === "admit") {
          const admission = breaker.admit(now);
          if (before === "open" && now - openedAt < SETTINGS.sleepMs) assert.equal(admission, Admission.reject); // B2
          if (admission !== Admission.reject) underWay.push(admission === Admission.probe);
          assert.ok(underWay.filter((probe) => probe).length <= 1); // B1
        } else if (act === "late success") {
          if (before !== "closed") {
            breaker.succeeded(false, now);
            assert.equal(breaker.state, before); // B3
          }
        } else {
          const probe = underWay.shift();
          if (probe === undefined) continue;
          if (act === "succeed") breaker.succeeded(probe, now);
          else if (act === "fail") breaker.failed(probe, now);
          else breaker.forget(probe);
          if (act === "succeed" && probe) assert.equal(breaker.state, "closed");
        }
        if (before !== "open" && breaker.state === "open" && act === "fail") openedAt = now;
      }
    }),
  );
});
