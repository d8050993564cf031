import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CallContext, Effect } from "../call.ts";
import { endpoint, grpc, http, TestCall, world } from "../machine/call.case.ts";
import type { Tape, TapeRecord } from "../machine/tape.ts";
import type { Resource } from "../resource/resources.ts";
import { traffic } from "../resource/traffic-builder.ts";
import { parseResources } from "../resource/validate.ts";
import type { PolicyRuntime } from "../runtime.ts";
import { objective } from "./objective-builder.ts";
import type { Objective } from "./objective-resource.ts";
import { BurnLevel, ObjectiveState } from "./objective-state.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

class World {
  readonly runtime: PolicyRuntime;
  now = 10 * HOUR;

  constructor(resources: readonly Resource[]) {
    const calm = traffic("products").retry(0).breaker(false).resources();
    this.runtime = world({ resources: [...resources, ...calm], endpoints: [endpoint("products-1")] });
  }

  get status() {
    const [first] = this.runtime.objectives(this.now);
    return first;
  }

  call(status: number, tookMs = 1, parts: Partial<CallContext> = {}, path = "/p.Products/Get"): TestCall {
    const call = new TestCall(this.runtime, this.now).begin(path.startsWith("/p.") ? grpc(path) : http("GET", path), {
      service: "products",
      ...parts,
    });
    if (call.count(Effect.forward) > 0) {
      call.advance(tookMs);
      call.head(1, status, ["grpc-status", status === 200 ? "0" : "14"]);
    }
    return call;
  }

  many(calls: number, status: number, tookMs = 1): void {
    for (let i = 0; i < calls; i++) this.runtime.release(this.call(status, tookMs).call);
  }
}

test("burn rates: 14.4 is 2 % of a month's budget in an hour, 6 is 5 % in six, 1 is 10 % in three days", () => {
  const { spec } = objective("products").availability(99.9).resources()[0] as Objective;
  for (const [share, hours] of [
    [0.02, 1],
    [0.05, 6],
    [0.1, 72],
  ] as const) {
    const [burn] = [14.4, 6, 1].filter((rate) => Math.abs((share * 30 * 24) / hours - rate) < 1e-9);
    assert.ok(burn !== undefined);
  }
  const state = new ObjectiveState({ apiVersion: "weftmesh.dev/v1", kind: "Objective", metadata: { name: "x" }, spec });
  const budget = state.availability;
  assert.ok(budget !== null);
  let now = 0;
  // 1.44 % bad for an hour: exactly a rate of 14.4 against 99.9 %.
  for (let i = 0; i < 10_000; i++) budget.record(i % 10_000 < 10_000 && (i * 144) % 10_000 < 144, (now = i * 360));
  const rates = Object.fromEntries(budget.windows(now));
  assert.ok(Math.abs(rates["1h"] - 14.4) < 0.2, `${rates["1h"]}`);
  assert.ok(Math.abs(budget.left(now) - (1 - 14.4)) < 0.2);
});

test("a burn counts in both its windows only, ends soon after the trouble, and needs enough calls", () => {
  const state = (minCalls?: number) => {
    const resource = objective("p").availability(99.9).resources()[0] as Objective;
    return new ObjectiveState(
      minCalls === undefined ? resource : { ...resource, spec: { ...resource.spec, minCalls } },
    );
  };
  const run = (target: ObjectiveState, from: number, ms: number, perMinute: number, badShare: number): number => {
    for (let now = from, i = 0; now < from + ms; now += MINUTE / perMinute, i++) {
      target.availability?.record(Math.floor((i + 1) * badShare) > Math.floor(i * badShare), now);
    }
    return from + ms;
  };
  const calm = state();
  let now = run(calm, 0, 7 * HOUR, 20, 0.0005);
  assert.equal(calm.see(now), BurnLevel.quiet);
  // An outage of ten minutes at 20 %: far above 14.4 in the hour, and in the last five minutes.
  now = run(calm, now, 10 * MINUTE, 20, 0.2);
  assert.equal(calm.see(now), BurnLevel.spent); // with so little history the month's budget is gone as well
  const old = state();
  now = run(old, 0, 20 * 24 * HOUR, 1, 0);
  now = run(old, now, 10 * MINUTE, 4, 0.3);
  assert.equal(old.see(now), BurnLevel.fast);
  now = run(old, now, 40 * MINUTE, 4, 0);
  assert.equal(old.see(now + 1_000), BurnLevel.slow); // the short windows are clean again
  const few = state();
  for (let i = 0; i < 50; i++) few.availability?.record(true, i);
  assert.equal(few.see(1_000), BurnLevel.quiet);
});

test("burn rates and the budget are what counting by hand gives", () => {
  const event = fc.tuple(fc.integer({ min: 0, max: 20 * MINUTE }), fc.integer({ min: 0, max: 99 }));
  fc.assert(
    fc.property(fc.constantFrom(90, 99, 99.9), fc.array(event, { minLength: 1, maxLength: 300 }), (target, events) => {
      const { spec } = objective("p").availability(target).resources()[0] as Objective;
      const state = new ObjectiveState({
        apiVersion: "weftmesh.dev/v1",
        kind: "Objective",
        metadata: { name: "x" },
        spec,
      });
      const all: { at: number; bad: boolean }[] = [];
      let now = 0;
      for (const [later, percent] of events) {
        now += later;
        all.push({ at: now, bad: percent < 20 });
        state.availability?.record(percent < 20, now);
      }
      const left = state.availability?.left(now) ?? 0;
      const bad = all.filter((call) => call.bad).length;
      const allowed = all.length * (1 - target / 100);
      assert.ok(Math.abs(left - (1 - bad / allowed)) < 1e-9, `${left}`); // all lie within the month
      const rates = Object.fromEntries(state.availability?.windows(now) ?? []);
      for (const [name, windowMs] of [
        ["5m", 5 * MINUTE],
        ["1h", HOUR],
        ["6h", 6 * HOUR],
        ["3d", 72 * HOUR],
      ] as const) {
        const rateOf = (ms: number): [number, number] => {
          const within = all.filter(({ at }) => at > now - ms);
          return [within.length, within.filter((call) => call.bad).length];
        };
        const [least, leastBad] = rateOf(windowMs * (59 / 60));
        const [most, mostBad] = rateOf(windowMs * (61 / 60));
        const unit = 1 - target / 100;
        const low = most === 0 ? 0 : leastBad / most / unit;
        const high = least === 0 ? Number.POSITIVE_INFINITY : mostBad / least / unit;
        assert.ok(
          rates[name] >= low - 1e-9 && rates[name] <= high + 1e-9,
          `${name}: ${rates[name]} not in ${low}..${high}`,
        );
      }
    }),
    { numRuns: 60 },
  );
});

test("calls are counted by how they ended; what callers gave up is not", () => {
  const mesh = new World(objective("products").availability(99).latency(90, "100ms").resources());
  mesh.many(80, 200, 10);
  mesh.many(15, 200, 200);
  mesh.many(5, 503, 10);
  const gone = new TestCall(mesh.runtime, mesh.now).begin(grpc("/p.Products/Get"));
  gone.call.downstreamGone(mesh.now);
  const [availability, latency] = mesh.status?.budgets ?? [];
  assert.deepEqual([availability.calls, availability.bad], [100, 5]);
  assert.deepEqual([latency.calls, latency.bad], [95, 15]);
  assert.ok(Math.abs(availability.left - (1 - 5)) < 1e-9);
});

test("streams are measured until their head", () => {
  const mesh = new World(objective("products").latency(90, "100ms").resources());
  const call = new TestCall(mesh.runtime, mesh.now).begin(grpc("/p.Products/Watch"));
  call.advance(50).head(1, 200, ["content-type", "application/grpc"], false).advance(60_000);
  call.call.trailers(1, ["grpc-status", "0"], call.now);
  call.drain();
  assert.deepEqual([mesh.status?.budgets[0].calls, mesh.status?.budgets[0].bad], [1, 0]);
});

test("O1: while the budget burns the least wanted calls are turned away, which burns nothing; explain says why", () => {
  const resources = objective("products")
    .availability(99.9)
    .shed({ methods: ["p.Products/Buy"] }, { when: "spent", below: 5 })
    .resources();
  const mesh = new World(resources);
  mesh.many(200, 503);
  mesh.now += 2_000;
  assert.equal(mesh.status?.level, "spent");
  const before = mesh.status?.budgets[0].calls;
  const shed = mesh.call(200, 1, {}, "/p.Products/Buy");
  assert.deepEqual([shed.reason, shed.call.response?.status], ["OBJECTIVE_SHED", 503]);
  const [, step] = shed.call.decision.steps;
  assert.match(
    step.text,
    /^availability 99.9 %: its budget is used 1000 times over; calls of p.Products\/Buy are turned away$/,
  );
  assert.match(shed.call.decision.nearest, /once the budget of Objective products burns slower/);
  assert.equal(mesh.call(200).count(Effect.forward), 1); // priority 5 is not below 5
  assert.equal(mesh.status?.budgets[0].calls, (before ?? 0) + 1);
  assert.equal(mesh.status?.shed, 1);
});

test("admission is asked to shed by pressure, and no longer when the objective is gone", () => {
  const resources = objective("products").availability(99.9).shed({ when: "slow", pressure: 0.4 }).resources();
  const mesh = new World(resources);
  mesh.many(200, 503);
  mesh.now += 2_000;
  mesh.call(200);
  assert.deepEqual(mesh.runtime.process.pressure.of("products"), { pressure: 0.4, source: "Objective products" });
  mesh.runtime.applyResources(2, [], []);
  assert.equal(mesh.runtime.process.pressure.of("products").pressure, 0);
});

test("what is promised keeps its count when what is shed changes, and begins anew when the promise does", () => {
  const mesh = new World(objective("products").availability(99.9).resources());
  mesh.many(10, 200);
  mesh.runtime.applyResources(2, objective("products").availability(99.9).shed({ below: 3 }).resources(), []);
  assert.equal(mesh.status?.budgets[0].calls, 10);
  mesh.runtime.applyResources(3, objective("products").availability(99).resources(), []);
  assert.equal(mesh.status?.budgets[0].calls, 0);
});

test("nothing is counted at the server, and a system without objectives has no such gate", () => {
  const mesh = new World(objective("products").availability(99).resources());
  mesh.call(200, 1, { place: "server" });
  assert.equal(mesh.status?.budgets[0].calls, 0);
});

test("what cannot be meant is refused", () => {
  const problems = (spec: unknown): string => {
    try {
      parseResources([{ apiVersion: "weftmesh.dev/v1", kind: "Objective", metadata: { name: "x" }, spec }]);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.match(problems({}), /what is promised/);
  assert.match(problems({ availability: { target: 100 } }), /from 0.001 to 99.9999/);
  assert.match(problems({ availability: { target: 99, bad: ["timeout"] } }), /no outcome of a call/);
  assert.match(problems({ latency: { target: 99 } }), /"within" is missing/);
  assert.match(problems({ availability: { target: 99 }, shed: [{}] }), /which calls/);
  assert.match(
    problems({ availability: { target: 99 }, shed: [{ below: 3, pressure: 0.5 }] }),
    /leaves the choice to admission/,
  );
  assert.match(
    problems({ availability: { target: 99 }, burns: [{ rate: 1, long: "5m", short: "5m", level: "fast" }] }),
    /shorter/,
  );
  assert.equal(problems({ availability: { target: 99 }, window: "7d", minCalls: 10 }), "");
});

test("what an objective turned away is turned away again where nothing was counted", () => {
  const resources = objective("products").availability(99.9).shed({ percent: 50 }).resources();
  const run = (mesh: World, tape: TapeRecord | null) => {
    const call = new TestCall(mesh.runtime, mesh.now);
    const own = (call.call as unknown as { state: { tape: Tape } }).state.tape;
    if (tape === null) own.record();
    else own.play(tape, () => {});
    call.begin(grpc("/p.Products/Get"), { service: "products" });
    if (!call.call.ended) call.head(1, 200, ["grpc-status", "0"]);
    const { steps, outcome } = call.call.decision;
    return { tape: own.recorded, reason: call.reason, seen: JSON.stringify({ steps, outcome }) };
  };
  const burning = new World(resources);
  burning.many(200, 503);
  burning.now += 2_000;
  const reasons = new Set<string>();
  for (let i = 0; i < 12; i++) {
    const recorded = run(burning, null);
    reasons.add(recorded.reason);
    assert.equal(run(new World(resources), recorded.tape).seen, recorded.seen);
  }
  assert.deepEqual([...reasons].sort(), ["", "OBJECTIVE_SHED"]);
});

test("typed clients and sidecars count their own calls too", () => {
  for (const place of ["client", "sidecar"] as const) {
    const mesh = new World(objective("products").availability(99).resources());
    mesh.call(200, 1, { place });
    assert.equal(mesh.status?.budgets[0].calls, 1, place);
  }
});
