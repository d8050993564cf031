import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { EndpointTable } from "../balance/endpoint-table.ts";
import type { Group } from "../balance/group.ts";
import { endpoint } from "../machine/call.case.ts";
import { OutlierDetector, OutlierRule } from "./outlier.ts";
import { type OutlierSpec, outlierField } from "./outlier-field.ts";

class World {
  readonly table = new EndpointTable();
  readonly group: Group;
  readonly detector: OutlierDetector;
  readonly random = seededRandom(5);

  constructor(endpoints: number, spec: OutlierSpec = {}) {
    this.table.apply(
      true,
      Array.from({ length: endpoints }, (_, i) => endpoint(`a-${i}`)),
      [],
    );
    this.group = this.table.group("a", "");
    const settings = outlierField.compile(spec);
    assert.ok(settings !== null);
    this.detector = new OutlierDetector(settings);
  }

  answer(slot: number, status: number, now: number, times = 1): void {
    for (let i = 0; i < times; i++) this.detector.answered(this.table, this.group, slot, status, this.random, now);
  }

  lose(slot: number, now: number, times = 1): void {
    for (let i = 0; i < times; i++) this.detector.lost(this.table, this.group, slot, false, this.random, now);
  }

  sweep(now: number): void {
    this.detector.sweep(this.table, this.group, this.random, now);
  }

  out(now: number): number[] {
    return this.group.slots.filter((slot) => !this.table.inRotation(slot, now));
  }
}

test("five 5xx in a row eject for 30 s, a success breaks the row", () => {
  const world = new World(3);
  world.answer(0, 500, 0, 4);
  world.answer(0, 200, 0);
  world.answer(0, 503, 0, 4);
  assert.deepEqual(world.out(0), []);
  assert.equal(world.detector.describe(world.table, 0, 0), "4 of 5 failures seen");
  world.answer(0, 500, 0);
  assert.deepEqual(world.out(29_999), [0]);
  assert.equal(world.detector.describe(world.table, 0, 10_000), "ejected for 20 s more (consecutive 5xx)");
  assert.deepEqual(world.out(30_000), []);
});

test("lost attempts count as 5xx, unless errors are split: then they have a row of their own", () => {
  const world = new World(3);
  world.answer(0, 500, 0, 2);
  world.lose(0, 0, 3);
  assert.deepEqual(world.out(0), [0]);
  const split = new World(3, { splitExternalLocalOriginErrors: true });
  split.answer(0, 500, 0, 2);
  split.lose(0, 0, 3);
  assert.deepEqual(split.out(0), []);
  split.lose(0, 0, 2);
  assert.deepEqual(split.out(0), [0]);
  assert.equal(split.detector.ejections[OutlierRule.consecutiveLocalOriginFailure], 1);
});

test("each further ejection lasts longer up to the maximum, and good behaviour lowers it again", () => {
  const world = new World(3, { maxEjectionTime: "70s" });
  const lasts = (now: number): number => {
    world.answer(0, 500, now, 5);
    return world.table.outlierUntil[0] - now;
  };
  assert.equal(lasts(0), 30_000);
  assert.equal(lasts(30_000), 60_000);
  assert.equal(lasts(90_000), 70_000);
  for (let now = 160_000; now <= 220_000; now += 10_000) world.sweep(now);
  assert.equal(lasts(230_000), 30_000);
});

test("at most 10 % are out, but always one may be", () => {
  const world = new World(3);
  for (const slot of [0, 1, 2]) world.answer(slot, 500, 0, 20);
  assert.equal(world.out(0).length, 1);
  const many = new World(30);
  for (let slot = 0; slot < 30; slot++) many.answer(slot, 500, 0, 20);
  assert.equal(many.out(0).length, 3);
  const none = new World(3, { maxEjectionPercent: 0 });
  none.answer(0, 500, 0, 20);
  assert.equal(none.out(0).length, 0);
});

test("gateway failures are watched, and ejected for only where that is enforced", () => {
  const only = { consecutive5xx: 1_000, consecutiveGatewayFailure: 3 };
  const watched = new World(3, only);
  watched.answer(0, 502, 0, 10);
  assert.equal(watched.out(0).length, 0);
  const enforced = new World(3, { ...only, enforcingConsecutiveGatewayFailure: 100 });
  enforced.answer(0, 500, 0, 10);
  assert.equal(enforced.out(0).length, 0);
  enforced.answer(0, 502, 0, 3);
  assert.deepEqual(enforced.out(0), [0]);
});

test("an enforcing percentage makes that share of the ejections", () => {
  let ejected = 0;
  const random = seededRandom(1);
  for (let i = 0; i < 1_000; i++) {
    const world = new World(2, { enforcingConsecutive5xx: 30 });
    for (let j = 0; j < 5; j++) world.detector.answered(world.table, world.group, 0, 500, random, 0);
    ejected += world.out(0).length;
  }
  assert.ok(ejected > 250 && ejected < 350, `${ejected}`);
});

test("an endpoint whose success rate is far below the others' is ejected at the end of the interval", () => {
  const world = new World(10, { consecutive5xx: 60_000 });
  world.sweep(0);
  for (let slot = 0; slot < 10; slot++) {
    world.answer(slot, 200, 1, slot === 4 ? 80 : 100);
    world.answer(slot, 500, 1, slot === 4 ? 20 : 0);
  }
  world.sweep(9_999);
  assert.deepEqual(world.out(9_999), []);
  world.sweep(10_000);
  assert.deepEqual(world.out(10_000), [4]);
  assert.equal(world.detector.ejections[OutlierRule.successRate], 1);
});

test("too few hosts, or too few requests, and nobody is compared", () => {
  for (const [hosts, requests] of [
    [4, 200],
    [10, 99],
  ]) {
    const world = new World(hosts, { consecutive5xx: 60_000 });
    world.sweep(0);
    for (let slot = 0; slot < hosts; slot++) world.answer(slot, slot === 0 ? 500 : 200, 1, requests);
    world.sweep(10_000);
    assert.deepEqual(world.out(10_000), []);
  }
});

test("failure percentage: over 85 % of at least 50 requests, where it is enforced", () => {
  const world = new World(6, { consecutive5xx: 60_000, enforcingSuccessRate: 0, enforcingFailurePercentage: 100 });
  world.sweep(0);
  for (let slot = 0; slot < 6; slot++) world.answer(slot, 200, 1, 50);
  world.answer(2, 500, 1, 282); // 84.9 %
  world.sweep(10_000);
  assert.deepEqual(world.out(10_000), []);
  for (let slot = 0; slot < 6; slot++) world.answer(slot, 200, 10_001, 50);
  world.answer(2, 500, 10_001, 300);
  world.sweep(20_000);
  assert.deepEqual(world.out(20_000), [2]);
});

test("an active health check that succeeds lets an ejected endpoint back in", () => {
  const world = new World(3);
  world.answer(0, 500, 0, 5);
  world.table.apply(false, [endpoint("a-0", { health: "unhealthy" })], []);
  world.table.apply(false, [endpoint("a-0")], []);
  assert.equal(world.table.inRotation(0, 1), true);
});

test("an endpoint that survives an update keeps what was counted and how long it is out; another in its slot does not", () => {
  const world = new World(3);
  world.answer(0, 500, 0, 3);
  world.table.apply(false, [endpoint("a-0", { weight: 5 }), endpoint("a-9")], [{ id: "a-1" }]);
  world.answer(0, 500, 1, 2);
  assert.deepEqual(world.out(1), [0]);
  world.table.apply(true, [endpoint("a-0", { weight: 2 }), endpoint("a-9")], []);
  assert.equal(world.table.inRotation(0, 29_000), false);
  world.answer(1, 500, 2, 4); // a-9 is in a-1's slot now
  world.table.apply(false, [endpoint("a-9", { port: 1 })], []);
  world.answer(1, 500, 3, 4);
  assert.equal(world.table.inRotation(1, 3), true);
});

test("O1 O2: whatever happens, not too many are out, and none for longer than the maximum", () => {
  const step = fc.record({
    slot: fc.nat(19),
    status: fc.constantFrom(200, 200, 500, 503, 404),
    times: fc.integer({ min: 1, max: 6 }),
    lost: fc.boolean(),
    wait: fc.integer({ min: 0, max: 9_000 }),
    replace: fc.integer({ min: 0, max: 20 }),
  });
  const spec = fc.record({
    maxEjectionPercent: fc.constantFrom(0, 10, 34, 100),
    splitExternalLocalOriginErrors: fc.boolean(),
    consecutive5xx: fc.integer({ min: 1, max: 6 }),
    successRateMinimumHosts: fc.constantFrom(1, 5),
    successRateRequestVolume: fc.constantFrom(1, 20),
    enforcingFailurePercentage: fc.constantFrom(0, 100),
    failurePercentageMinimumHosts: fc.constant(2),
    failurePercentageRequestVolume: fc.constant(2),
  });
  fc.assert(
    fc.property(spec, fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 150 }), (chosen, hosts, steps) => {
      const world = new World(hosts, chosen);
      let now = 0;
      for (const { slot, status, times, lost, wait, replace } of steps) {
        now += wait;
        const at = slot % hosts;
        world.sweep(now);
        if (replace === 0) world.table.apply(false, [endpoint(`a-${at}`, { port: now + 1 })], []);
        else if (lost) world.lose(at, now, times);
        else world.answer(at, status, now, times);
        const most = Math.ceil((chosen.maxEjectionPercent / 100) * hosts - 1e-9);
        assert.ok(world.out(now).length <= most, `${world.out(now).length} of ${hosts}`);
        for (const member of world.group.slots) assert.ok(world.table.outlierUntil[member] <= now + 300_000);
      }
    }),
    { numRuns: 60 },
  );
});
