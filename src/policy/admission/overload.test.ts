import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { LoadState } from "./load-state.ts";
import { Overload } from "./overload.ts";
import { ServiceTimes } from "./service-times.ts";
import { ShedLevel, shedChance } from "./shed-level.ts";

const SETTINGS = { eventLoop: 0.95, cpu: 0, loopDelayMs: 0, hysteresis: 0.05, sustainedMs: 300 };

test("O1, O2: sheds only what lasts, a tenth more with each reading, never everything", () => {
  const load = new LoadState();
  const overload = new Overload(SETTINGS, load);
  const shares = Array.from({ length: 60 }, () => {
    load.tell(0.99, 0, 0);
    return overload.share;
  });
  assert.deepEqual(
    shares.slice(0, 4).map((share) => Math.round(share * 100)),
    [0, 0, 10, 19],
  );
  assert.ok(Math.abs(shares[59] - 0.95) < 1e-9);
  const short = new Overload(SETTINGS, load);
  for (const elu of [0.99, 0.99, 0.5, 0.99, 0.99, 0.5]) {
    load.tell(elu, 0, 0);
    assert.equal(short.share, 0);
  }
});

test("O3: stays in between, and admits everything again within 50 calm readings, from wherever it was", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 80 }), (readings) => {
      const load = new LoadState();
      const overload = new Overload({ ...SETTINGS, cpu: 0.9, loopDelayMs: 50 }, load);
      for (const reading of readings) {
        const before = overload.share;
        load.tell(reading, reading / 2, reading * 100);
        const after = overload.share;
        assert.ok(after >= 0 && after <= 0.95 + 1e-9);
        if (reading > 0.91 && reading < 0.94) assert.equal(after, before);
      }
      for (let i = 0; i < 50; i++) {
        load.tell(0.2, 0.1, 0);
        overload.share;
      }
      assert.equal(overload.share, 0);
    }),
  );
});

test("settles where the load is what the process can take", () => {
  for (const demand of [1.3, 2, 5]) {
    const load = new LoadState();
    const overload = new Overload(SETTINGS, load);
    let sum = 0;
    let readings = 0;
    for (let i = 0; i < 600; i++) {
      const admitted = 1 - overload.share;
      load.tell(Math.min(1, demand * admitted), 0, 0);
      if (i < 300) continue;
      sum += demand * admitted;
      readings++;
    }
    const mean = sum / readings;
    assert.ok(mean > 0.8 && mean < 1.1, `${demand} times its capacity: ${mean.toFixed(2)} of it is admitted`);
  }
});

test("nobody measures before somebody wants to know", () => {
  const load = new LoadState();
  let started = 0;
  load.onWanted(() => started++);
  assert.equal(started, 0);
  new Overload(SETTINGS, load);
  new Overload(SETTINGS, load);
  assert.equal(started, 1);
});

test("S1, S2: a higher priority is never turned away while a lower one passes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 10 }), fc.double({ min: 0, max: 1, noNaN: true })), {
        maxLength: 300,
      }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer(),
      (calls, share, seed) => {
        const level = new ShedLevel();
        const random = seededRandom(seed);
        let now = 0;
        for (const [priority, wait] of calls) {
          now += wait * 100;
          const at = level.see(priority, share, now);
          // All that could come at this instant: who would be turned away, by one draw for all?
          const draw = random.next();
          let turnedAway = true;
          for (let other = 0; other <= 10; other++) {
            const shed = draw < shedChance(other, at);
            assert.ok(!shed || turnedAway, `${other} is turned away at level ${at}, one below passes`);
            turnedAway = shed;
            if (shed) for (let lower = 0; lower < other; lower++) assert.equal(shedChance(lower, at), 1);
          }
          assert.equal(shedChance(10, at), 0);
        }
      },
    ),
  );
});

test("S3: the share that is asked for is turned away, of whatever mix", () => {
  const random = seededRandom(3);
  for (const share of [0.1, 0.35, 0.8]) {
    for (const mix of [[5], [0, 5, 9], [1, 2, 2, 2, 3, 8]]) {
      const level = new ShedLevel();
      let shed = 0;
      for (let i = 0; i < 20_000; i++) {
        const priority = mix[Math.floor(random.next() * mix.length)];
        if (random.next() < shedChance(priority, level.see(priority, share, i))) shed++;
      }
      assert.ok(Math.abs(shed / 20_000 - share) < 0.04, `${share} of ${mix}: ${shed / 20_000}`);
    }
  }
});

test("an event loop that comes late to measuring counts for the time that it was busy", () => {
  const load = new LoadState();
  const overload = new Overload(SETTINGS, load);
  load.tell(1, 0, 900, 10);
  const late = overload.share;
  const punctual = new LoadState();
  const other = new Overload(SETTINGS, punctual);
  for (let i = 0; i < 10; i++) {
    punctual.tell(1, 0, 0);
    other.share;
  }
  assert.equal(late, other.share);
  assert.ok(late > 0.5);
});

test("knows the median of late, and forgets what was", () => {
  const times = new ServiceTimes();
  for (let i = 0; i < 19; i++) times.record(100, i);
  assert.equal(times.medianMs(20), 0);
  for (let i = 0; i < 500; i++) times.record(i % 10 === 0 ? 1_000 : 100, 20 + i);
  const median = times.medianMs(520);
  assert.ok(median <= 100 && median > 80, `${median}`);
  assert.equal(times.medianMs(120_000), 0);
});
