import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { LoadState } from "../admission/load-state.ts";
import { type AdaptiveLimit, createAdaptiveLimit } from "./adaptive-limit.ts";
import {
  type ConcurrencyAlgorithm,
  type ConcurrencySettings,
  type ConcurrencySpec,
  concurrencyField,
} from "./concurrency-field.ts";

function settings(spec: ConcurrencySpec): ConcurrencySettings {
  return concurrencyField.compile(spec) as ConcurrencySettings;
}

/**
 * A service that carries `capacity` calls at once in `workMs` each, and makes the others queue: calls come as fast as the limit lets them.
 * Gives the mean limit of the second half.
 */
function settles(limit: AdaptiveLimit, capacity: number, workMs: number, seconds: number): number {
  const random = seededRandom(1);
  let sum = 0;
  let steps = 0;
  for (let now = 0; now < seconds * 1_000; now += 10) {
    const inFlight = Math.max(1, Math.min(1_000, limit.limitAt(0, now)));
    const rttMs = workMs * Math.max(1, inFlight / capacity) * (0.95 + random.next() / 10);
    for (let i = 0; i < 4; i++) limit.sample(rttMs, inFlight, rttMs > 20 * workMs, random, now);
    if (now < seconds * 500) continue;
    sum += inFlight;
    steps++;
  }
  return sum / steps;
}

test("defaults are those of the sources", () => {
  const { initial, min, max, smoothing, queue, tolerance, longWindow, windowMs } = settings({});
  assert.deepEqual(
    [initial, min, max, smoothing, queue, tolerance, longWindow, windowMs],
    [20, 20, 200, 0.2, 4, 1.5, 600, 1_000],
  );
  const vegas = settings({ algorithm: "vegas" });
  assert.deepEqual(
    [vegas.initial, vegas.min, vegas.max, vegas.smoothing, vegas.probeMultiplier],
    [20, 1, 1_000, 1, 30],
  );
  const aimd = settings({ algorithm: "aimd" });
  assert.deepEqual([aimd.initial, aimd.min, aimd.max, aimd.backoff, aimd.timeoutMs], [10, 1, 200, 0.9, 5_000]);
  const bbr = settings({ algorithm: "bbr" });
  assert.deepEqual([bbr.threshold, bbr.windowMs, bbr.enforcedBy], [0.8, 10_000, "server"]);
});

test("vegas finds about what a service can carry, and aimd stays where nothing is dropped", () => {
  const load = new LoadState();
  const vegas = settles(createAdaptiveLimit(settings({ algorithm: "vegas" }), load), 50, 20, 120);
  assert.ok(vegas >= 25 && vegas <= 75, `vegas: ${vegas}`);
  const aimd = settles(createAdaptiveLimit(settings({ algorithm: "aimd" }), load), 5, 20, 60);
  assert.ok(aimd >= 80 && aimd <= 110, `aimd: ${aimd}`); // drops begin at 20 x 5
});

test("gradient2 grows while calls take as long as ever, and shrinks when they take longer", () => {
  const limit = createAdaptiveLimit(settings({}), new LoadState());
  const random = seededRandom(1);
  const feed = (rttMs: number, from: number, to: number): number => {
    for (let now = from; now < to; now += 50) limit.sample(rttMs, limit.limitAt(0, now), false, random, now);
    return limit.limitAt(0, to);
  };
  const grown = feed(20, 0, 60_000);
  assert.ok(grown > 50, `${grown}`);
  const shrunk = feed(100, 60_000, 90_000);
  assert.ok(shrunk < 30, `${shrunk}`);
  assert.ok(feed(20, 90_000, 180_000) > shrunk);
});

test("gradient2 and vegas do not grow while calls use less than half of the limit", () => {
  for (const algorithm of ["gradient2", "vegas", "aimd"] as const) {
    const limit = createAdaptiveLimit(settings({ algorithm }), new LoadState());
    const before = limit.limitAt(0, 0);
    for (let now = 0; now < 20_000; now += 20) limit.sample(10, 1, false, seededRandom(1), now);
    assert.equal(limit.limitAt(0, 20_000), before, algorithm);
  }
});

test("stays within its bounds whatever it is told", () => {
  fc.assert(
    fc.property(
      fc.constantFrom<ConcurrencyAlgorithm[]>("gradient2", "vegas", "aimd"),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 30, max: 100 }),
      fc.array(
        fc.tuple(fc.double({ min: 0.01, max: 9_000, noNaN: true }), fc.integer({ min: 1, max: 300 }), fc.boolean()),
        {
          maxLength: 300,
        },
      ),
      (algorithm, min, max, samples) => {
        const limit = createAdaptiveLimit(settings({ algorithm, min, max, window: "0s" }), new LoadState());
        const random = seededRandom(5);
        samples.forEach(([rttMs, inFlight, dropped], i) => {
          limit.sample(rttMs, inFlight, dropped, random, i);
          const now = limit.limitAt(0, i);
          assert.ok(now >= min && now <= max, `${now}`);
        });
      },
    ),
  );
});

test("bbr refuses nothing while the process is not busy, and then what it has not proved to carry", () => {
  const load = new LoadState();
  const limit = createAdaptiveLimit(settings({ algorithm: "bbr" }), load);
  // 20 calls in each bucket of 100 ms, 50 ms each: 10 at once.
  const serve = (from: number, to: number): void => {
    for (let now = from; now < to; now += 5) {
      limit.sample(50, 10, false, seededRandom(1), now);
      if (now % 100 === 0) load.tell(load.eventLoopUtilisation, load.cpu, 0);
    }
  };
  load.eventLoopUtilisation = 0.3;
  serve(0, 5_000);
  assert.equal(limit.limitAt(1_000, 5_000), Number.POSITIVE_INFINITY);
  load.eventLoopUtilisation = 1;
  serve(5_000, 25_000);
  assert.equal(limit.limitAt(1_000, 25_000), 11);
  assert.equal(limit.limitAt(2, 25_001), 11);
  // Calm again: a second of grace since it began to refuse, then nothing is refused.
  load.eventLoopUtilisation = 0.1;
  for (let i = 0; i < 60; i++) load.tell(0.1, 0, 0);
  assert.equal(limit.limitAt(1_000, 25_900), 11);
  assert.equal(limit.limitAt(1_000, 26_100), Number.POSITIVE_INFINITY);
});

test("bbr refuses nothing for want of knowledge", () => {
  const load = new LoadState();
  const limit = createAdaptiveLimit(settings({ algorithm: "bbr" }), load);
  for (let i = 0; i < 500; i++) load.tell(1, 1, 0);
  assert.equal(limit.limitAt(1_000, 100), Number.POSITIVE_INFINITY);
});
