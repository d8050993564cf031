import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConditionSet } from "../resource/conditions.ts";
import { Admission, Breaker, type BreakerSettings } from "./breaker.ts";
import { FleetBreaker } from "./fleet-breaker.ts";
import { QuorumBreaker } from "./quorum-breaker.ts";

const SETTINGS = { quorum: 2, sleepMs: 5_000, evidenceMs: 10_000 };

function fleet(...processes: string[]): FleetBreaker {
  const breaker = new FleetBreaker(SETTINGS);
  for (const process of processes) breaker.report(process, 0, 10, false, 0);
  return breaker;
}

test("Q2: one process alone never opens it, however long it fails", () => {
  const breaker = fleet("a", "b", "c");
  for (let now = 0; now < 60_000; now += 500) {
    breaker.report("a", breaker.word("a", 0).term, 50, true, now);
    breaker.report("b", breaker.word("b", 0).term, 50, false, now);
  }
  assert.equal(breaker.state, "closed");
});

test("a quorum that is no majority does not open it either", () => {
  const breaker = fleet("a", "b", "c", "d");
  breaker.report("a", breaker.word("a", 0).term, 5, true, 1);
  breaker.report("b", breaker.word("b", 0).term, 5, true, 1);
  assert.equal(breaker.state, "closed");
  assert.equal(breaker.report("c", breaker.word("c", 0).term, 5, true, 2), true);
  assert.equal(breaker.state, "open");
});

test("evidence grows old: two processes that failed at different times are no quorum", () => {
  const breaker = fleet("a", "b");
  breaker.report("a", breaker.word("a", 0).term, 5, true, 0);
  breaker.report("b", breaker.word("b", 0).term, 5, true, 10_001);
  assert.equal(breaker.state, "closed");
});

test("one leased probe half-opens it; success closes it for all, failure opens it again", () => {
  const breaker = fleet("a", "b");
  breaker.report("a", breaker.word("a", 0).term, 5, true, 100);
  breaker.report("b", breaker.word("b", 0).term, 5, true, 100);
  assert.deepEqual(breaker.word("a", 1_100), { state: "open", reopensInMs: 4_000, probe: 0, term: 0, voters: 2 });
  assert.equal(breaker.tick(5_099), false);
  assert.equal(breaker.tick(5_100), true);
  assert.equal(breaker.word("a", 5_100).probe, 1);
  assert.equal(breaker.word("b", 5_100).probe, 0);
  assert.equal(breaker.probed("b", 1, true, 5_200), false);
  assert.equal(breaker.probed("a", 1, false, 5_200), true);
  assert.equal(breaker.state, "open");
  breaker.tick(10_200);
  assert.equal(breaker.prober, "b");
  assert.equal(breaker.probed("b", 2, true, 10_300), true);
  assert.equal(breaker.state, "closed");
});

test("a prober that says nothing loses the lease to another", () => {
  const breaker = fleet("a", "b");
  breaker.report("a", breaker.word("a", 0).term, 5, true, 0);
  breaker.report("b", breaker.word("b", 0).term, 5, true, 0);
  breaker.tick(5_000);
  assert.equal(breaker.tick(9_999), false);
  assert.equal(breaker.tick(10_000), true);
  assert.equal(breaker.prober, "b");
  assert.equal(breaker.probed("a", 1, true, 10_001), false, "the lease is over");
});

test("evidence from before it closed does not open it again", () => {
  const breaker = fleet("a", "b");
  breaker.report("a", 0, 5, true, 0);
  breaker.report("b", 0, 5, true, 0);
  breaker.tick(5_000);
  breaker.probed("a", breaker.word("a", 5_000).probe, true, 5_100);
  breaker.report("a", 0, 5, true, 5_200);
  breaker.report("b", 0, 5, true, 5_200);
  assert.equal(breaker.state, "closed");
  breaker.report("a", 1, 5, true, 5_300);
  breaker.report("b", 1, 5, true, 5_300);
  assert.equal(breaker.state, "open");
});

const OWN: BreakerSettings = {
  ...({} as BreakerSettings),
  consecutiveFailures: 3,
  failureRatio: 0,
  minRequests: 1,
  windowMs: 10_000,
  sleepMs: 1_000,
  on: new ConditionSet([]),
};

test("a process goes by its own evidence while it is alone or hears nothing, by the fleet's otherwise", () => {
  const breaker = new QuorumBreaker("payments", new Breaker(OWN));
  for (let i = 0; i < 3; i++) {
    assert.equal(breaker.admit(i), Admission.pass);
    breaker.failed(false, i);
  }
  assert.equal(breaker.admit(5), Admission.reject, "nothing was heard of the fleet");
  assert.equal(breaker.evidence().tripped, true);
  breaker.hear({ state: "closed", reopensInMs: 0, probe: 0, term: 0, voters: 3 }, 10);
  assert.equal(breaker.admit(11), Admission.pass, "two others see nothing wrong");
  breaker.hear({ state: "open", reopensInMs: 4_000, probe: 0, term: 0, voters: 3 }, 20);
  assert.equal(breaker.admit(21), Admission.reject);
  assert.equal(breaker.reopensInMs(1_020), 3_000);
  breaker.hear({ state: "half-open", reopensInMs: 0, probe: 7, term: 0, voters: 3 }, 4_100);
  assert.equal(breaker.admit(4_101), Admission.probe);
  assert.equal(breaker.admit(4_102), Admission.reject, "one probe");
  breaker.succeeded(true, 4_150);
  const { probe, succeeded } = breaker.evidence();
  assert.deepEqual({ probe, succeeded }, { probe: 7, succeeded: true });
  assert.equal(breaker.admit(4_151), Admission.reject, "until the fleet has heard of it");
  breaker.hear({ state: "closed", reopensInMs: 0, probe: 0, term: 1, voters: 3 }, 4_200);
  assert.equal(breaker.evidence().tripped, false, "its own evidence begins anew when the fleet's breaker closes");
  assert.equal(breaker.term, 1);
});

test("Q1, Q2: at any time at most one process of the fleet may probe, and one alone trips nobody", () => {
  const act = fc.record({
    who: fc.nat(4),
    what: fc.constantFrom("fail", "fine", "idle", "probe-ok", "probe-bad"),
    wait: fc.nat(4_000),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const breaker = new FleetBreaker(SETTINGS);
      const trippedAt = new Map<string, number>();
      let now = 0;
      for (const { who, what, wait } of acts) {
        now += wait;
        const process = `p${who}`;
        const before = breaker.state;
        const lease = breaker.word(process, now).probe;
        if (what === "probe-ok" || what === "probe-bad") breaker.probed(process, lease, what === "probe-ok", now);
        else {
          if (what === "fail") trippedAt.set(process, now);
          else trippedAt.delete(process);
          breaker.report(process, breaker.word(process, 0).term, what === "idle" ? 0 : 3, what === "fail", now);
        }
        if (before === "closed" && breaker.state !== "closed") {
          const fresh = [...trippedAt.values()].filter((at) => now - at <= SETTINGS.evidenceMs);
          assert.ok(fresh.length >= 2, `opened by ${fresh.length}`);
        }
        if (breaker.state === "closed" && before !== "closed") trippedAt.clear();
        const probers = Array.from({ length: 5 }, (_, i) => breaker.word(`p${i}`, now).probe).filter(
          (probe) => probe > 0,
        );
        assert.ok(probers.length <= 1);
        if (breaker.state !== "half-open") assert.equal(probers.length, 0);
      }
    }),
  );
});
