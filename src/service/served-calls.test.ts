import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { InFlight } from "./environment.ts";
import { LoadMeter } from "./load-meter.ts";
import { NOT_TIMED, ServedCalls } from "./served-calls.ts";

function served() {
  const clock = new VirtualClock();
  const calls = new ServedCalls(clock);
  return { clock, calls, meter: () => new LoadMeter("a-1", new InFlight(), calls, clock) };
}

test("calls are counted and not timed until somebody asks", () => {
  const { calls, meter } = served();
  assert.equal(calls.begin(true), NOT_TIMED);
  meter();
  assert.notEqual(calls.begin(true), NOT_TIMED);
  assert.equal(calls.begin(false), NOT_TIMED);
  assert.equal(calls.calls, 3);
});

test("a report tells calls, errors, durations and the rate since the last one; idle, the rate is 0", () => {
  const { clock, calls, meter: metered } = served();
  const meter = metered();
  for (let i = 0; i < 10; i++) {
    const slot = calls.begin(true);
    clock.advance(20);
    calls.end(slot, i === 0 ? { code: "internal" } : i === 1 ? { code: "not_found" } : null);
  }
  clock.advance(800);
  const { calls: all, errors, callsPerSecond, latency, measuredMs } = meter.read();
  assert.deepEqual([all, errors, callsPerSecond, measuredMs], [10n, 1n, 10, 1_000]);
  assert.deepEqual(latency.counts, [10n]);
  assert.equal(latency.buckets.length, 1);
  clock.advance(1_000);
  assert.deepEqual([meter.read().callsPerSecond, meter.read().calls], [0, 10n]);
});

test("of many calls few are timed, and they stand for all", () => {
  const { clock, calls, meter: metered } = served();
  const meter = metered();
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 100_000; i++) calls.end(calls.begin(true), null);
    clock.advance(1_000);
    meter.read();
  }
  const timed = calls.latency.count;
  assert.ok(timed > 299_000 && timed <= 300_000, String(timed));
  let slots = 0;
  for (let i = 0; i < 2_010; i++) if (calls.begin(true) !== NOT_TIMED) slots++;
  assert.equal(slots, 10); // one in 201
});

test("more calls in flight than can be timed are only counted, and every slot is used again", () => {
  const { calls, meter } = served();
  meter();
  const slots = Array.from({ length: 3_000 }, () => calls.begin(true));
  assert.equal(new Set(slots.filter((slot) => slot !== NOT_TIMED)).size, 1_024);
  for (const slot of slots) calls.end(slot, null);
  assert.equal(Array.from({ length: 1_024 }, () => calls.begin(true)).includes(NOT_TIMED), false);
  assert.equal(calls.calls, 4_024);
});
