import assert from "node:assert/strict";
import { test } from "node:test";
import { FleetBreaker } from "./fleet-breaker.ts";
import { type BreakerEvidence, FleetBreakers } from "./fleet-breakers.ts";

const settings = { quorum: 2, sleepMs: 1_000, evidenceMs: 10_000 };
const seen = (parts: Partial<BreakerEvidence> = {}): BreakerEvidence => ({
  ...{ key: "payments", ...settings, calls: 10, tripped: false, term: 0, probe: 0, succeeded: false },
  ...parts,
});

test("whoever reports a breaker first does not settle how it is set for the others", () => {
  const fleet = new FleetBreakers();
  fleet.meet("hostile", seen({ quorum: 2 ** 32 - 1, sleepMs: 2 ** 32 - 1, evidenceMs: 0 }), 0);
  fleet.meet("a", seen({ tripped: true }), 1);
  assert.equal(fleet.meet("b", seen({ tripped: true }), 2)?.state, "open");
  assert.equal(fleet.meet("b", seen(), 1_100)?.state, "half-open");
});

test("processes that have gone do not hold up the probe, and are forgotten", () => {
  const breaker = new FleetBreaker(settings);
  for (let i = 0; i < 100; i++) breaker.report(`gone-${i}`, 0, 5, true, 0);
  assert.equal(breaker.state, "open");
  for (let now = 500; now <= 60_000; now += 500) breaker.report("alive", 0, 1, false, now);
  assert.equal(breaker.candidates, 1);
  assert.equal(breaker.prober, "alive");
});

test("names that are made up while a breaker is open take no more than so much room and time", () => {
  const breaker = new FleetBreaker(settings);
  breaker.report("a", 0, 1, true, 0);
  breaker.report("b", 0, 1, true, 0);
  const begun = performance.now();
  for (let i = 0; i < 60_000; i++) breaker.report(`made-up-${i}`, 0, 1, true, i);
  assert.ok(performance.now() - begun < 2_000, `${performance.now() - begun} ms`);
  assert.ok(breaker.candidates <= 10_000, `${breaker.candidates} candidates`);
});
