import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { type EdgeRate, type EdgeReading, type Reporter, TrafficStore } from "./traffic-store.ts";

const REPORTER: Reporter = { id: "1", node: "orders", gateway: false };

function reading(calls: number, part: Partial<EdgeReading> = {}): EdgeReading {
  const counts = { errors: 0, secure: 0, attempts: calls, buckets: [10], counts: [calls] };
  return { service: "payments", version: "v1", calls, ...counts, ...part };
}

function rateOf(store: TrafficStore): EdgeRate {
  const [[, [rate]]] = [...store.rates()];
  return rate;
}

test("a rate is of the last five to ten seconds, and silence brings it to nothing", () => {
  const clock = new VirtualClock();
  const store = new TrafficStore(clock);
  store.report(REPORTER, []);
  for (let second = 1; second <= 60; second++) {
    clock.advance(1_000);
    store.report(REPORTER, [reading(10 * second)]);
    const { calls, seconds, latency } = rateOf(store);
    assert.ok(seconds <= 10, `${seconds} s`);
    assert.ok(Math.abs(calls / seconds - 10) < 0.001, `${calls} in ${seconds} s at second ${second}`);
    assert.equal(latency[10], calls);
  }
  for (let second = 1; second <= 10; second++) {
    clock.advance(1_000);
    rateOf(store);
  }
  assert.equal(rateOf(store).calls, 0);
  assert.equal(rateOf(store).allCalls, 600);
  clock.advance(3_600_000);
  store.report(REPORTER, [reading(610)]);
  const { calls, seconds } = rateOf(store);
  assert.ok(calls === 10 && seconds <= 10, `${calls} in ${seconds} s`);
});

test("what came before anybody listened is no rate of now, and a process that counts anew begins anew", () => {
  const clock = new VirtualClock();
  const store = new TrafficStore(clock);
  store.report(REPORTER, [reading(1_000_000)]);
  clock.advance(1_000);
  assert.equal(rateOf(store).calls, 0);
  store.report(REPORTER, [reading(1_000_005)]);
  assert.equal(rateOf(store).calls, 5);
  clock.advance(1_000);
  store.report(REPORTER, [reading(3)]);
  assert.equal(rateOf(store).calls, 0);
  assert.equal(rateOf(store).allCalls, 3);
});

test("reporters and backends are bounded, and forgotten with who told of them", () => {
  const store = new TrafficStore(new VirtualClock());
  const readings = Array.from({ length: 5_001 }, (_, i) => reading(1, { service: `s-${i}` }));
  for (let n = 0; n < 41; n++) store.report({ ...REPORTER, id: `${n}` }, readings);
  assert.equal(store.size, 200_000);
  for (let n = 0; n < 41; n++) store.forget(`${n}`);
  assert.equal(store.size, 0);
  assert.deepEqual([...store.rates()], []);
});
