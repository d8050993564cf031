import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { endpoint } from "../machine/call.case.ts";
import { Pick, pickEndpoint } from "./balancer.ts";
import { balancerSettings } from "./balancer-settings.ts";
import type { BalancerKind, BalancerSpec } from "./balancer-spec.ts";
import { EndpointTable } from "./endpoint-table.ts";
import { whyText } from "./why.ts";

function counts(table: EndpointTable, spec: BalancerSpec, calls: number, now: number): number[] {
  const settings = balancerSettings(spec);
  const random = seededRandom(9);
  const seen: number[] = [];
  for (let i = 0; i < calls; i++) {
    const slot = pickEndpoint(table, table.group("a", ""), settings, 1e9, [], random, now, new Pick());
    seen[slot] = (seen[slot] ?? 0) + 1;
  }
  return Array.from(seen, (count) => count ?? 0);
}

const KINDS: readonly BalancerKind[] = ["round-robin", "weighted-round-robin", "weighted-random", "least-request"];

for (const kind of KINDS) {
  test(`slow start, ${kind}: a new endpoint begins with a tenth of its weight and has all of it after the window`, () => {
    const table = new EndpointTable();
    table.apply(true, [endpoint("a-0"), endpoint("a-1"), endpoint("a-2")], []);
    const spec: BalancerSpec = { kind, slowStart: { window: "10s" } };
    counts(table, spec, 1, 0);
    table.apply(false, [endpoint("a-3")], []);
    const share = (now: number): number => counts(table, spec, 4_000, now)[3] / 4_000;
    const near = (value: number, weight: number): void =>
      assert.ok(Math.abs(value - weight / (3 + weight)) < 0.02, `${value} instead of ${weight / (3 + weight)}`);
    near(share(20_000), 0.1);
    near(share(22_500), 0.25);
    near(share(25_000), 0.5);
    near(share(30_000), 1);
    // One that was unhealthy in between begins again.
    table.apply(false, [endpoint("a-3", { health: "unhealthy" })], []);
    table.apply(false, [endpoint("a-3")], []);
    near(share(60_000), 0.1);
  });
}

test("slow start under P2C: a new endpoint costs ten times as much, and says so", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-0")], []);
  const settings = balancerSettings({ slowStart: { window: "10s" } });
  const random = seededRandom(1);
  pickEndpoint(table, table.group("a", ""), settings, 1e9, [], random, 0, new Pick());
  table.apply(false, [endpoint("a-1")], []);
  for (const slot of [0, 1]) table.observe(slot, 10, 20_000, 10_000);
  // The first was alone when it was seen, which needs no look at weights; both begin now.
  pickEndpoint(table, table.group("a", ""), settings, 1e9, [], random, 20_000, new Pick());
  table.joinedAt[0] = 0;
  const pick = new Pick();
  assert.equal(pickEndpoint(table, table.group("a", ""), settings, 1e9, [], random, 20_200, pick), 0);
  table.inFlight[0] = 20;
  const other = new Pick();
  assert.equal(pickEndpoint(table, table.group("a", ""), settings, 1e9, [], random, 20_200, other), 1);
  assert.match(whyText(other), /new: 10 % of its weight/);
});

test("by load: shares are calls a second by utilisation, after the blackout, until reports expire (gRFC A58)", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-0"), endpoint("a-1"), endpoint("a-2")], []);
  const report = (slot: number, text: string, now: number) =>
    assert.equal(table.reported(slot, "endpoint-load-metrics", `TEXT ${text}`, now), true);
  const spec: BalancerSpec = { kind: "by-load" };
  assert.deepEqual(counts(table, spec, 300, 0), [100, 100, 100]);
  for (let now = 0; now <= 20_000; now += 1_000) {
    report(0, "rps_fractional=100,cpu_utilization=0.2", now); // 500
    report(1, "rps_fractional=100,cpu_utilization=0.8,named_metrics.event_loop=1", now); // 100: the event loop is fuller
    if (now === 5_000) assert.deepEqual(counts(table, spec, 300, now), [100, 100, 100]); // blackout
  }
  // The third says nothing: it gets the mean, 300.
  for (const [i, count] of counts(table, spec, 900, 20_000).entries())
    assert.ok(Math.abs(count - [500, 100, 300][i]) <= 2, `${i}: ${count}`);
  // Errors weigh like utilisation: 100 / (0.2 + 0.8).
  report(0, "rps_fractional=100,eps=80,cpu_utilization=0.2", 21_000);
  report(1, "rps_fractional=100,cpu_utilization=1", 21_000);
  for (const [i, count] of counts(table, spec, 900, 22_000).entries())
    assert.ok(Math.abs(count - 300) <= 2, `${i}: ${count}`);
  // A report that says nothing of it changes nothing.
  report(1, "named_metrics.rif=3", 22_500);
  for (const [i, count] of counts(table, spec, 900, 24_000).entries())
    assert.ok(Math.abs(count - 300) <= 2, `${i}: ${count}`);
  // After three minutes without a report nobody knows anything.
  for (const count of counts(table, spec, 300, 300_000)) assert.ok(Math.abs(count - 100) <= 1);
});

test("Prequal believes a server's own word while it is fresh, and adds what was sent since", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-0"), endpoint("a-1"), endpoint("a-2")], []);
  for (const slot of [0, 1, 2]) table.observe(slot, 10, 0, 10_000);
  const say = (slot: number, rif: number, latency: number) =>
    table.reported(
      slot,
      "endpoint-load-metrics",
      `TEXT named_metrics.rif=${rif},named_metrics.latency_ms=${latency}`,
      0,
    );
  say(0, 30, 5); // hot: others keep it busy
  say(1, 2, 40);
  say(2, 2, 20);
  const settings = balancerSettings({ kind: "prequal" });
  const choose = (now: number) => {
    const pick = new Pick();
    const slot = pickEndpoint(table, table.group("a", ""), settings, 1e9, [], seededRandom(1), now, pick);
    return [slot, whyText(pick)] as const;
  };
  const [slot, why] = choose(100);
  assert.equal(slot, 2);
  assert.match(why, /^prequal: 20 ms with 2 in flight; lowest latency of 2 cold among 3, hot is above 2 in flight$/);
  table.inFlight[2] = 3; // 5 at the server by now
  assert.equal(choose(100)[0], 1); // 40 ms x 1 against 20 ms x 4
  table.inFlight[2] = 0;
  // Later than a second nothing of it is believed: all are as this process sees them.
  assert.match(choose(1_100)[1], /^prequal: .* with 0 in flight/);
});

test("a deadline turn or a report outlives what an update changes: weight, zone, metadata", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-0"), endpoint("a-1")], []);
  counts(table, { kind: "weighted-round-robin", slowStart: { window: "1s" } }, 3, 500);
  table.observe(1, 40, 0, 10_000);
  table.inFlight[1] = 3;
  table.reported(1, "endpoint-load-metrics", "TEXT rps_fractional=7,cpu_utilization=0.5", 400);
  table.failed(1, true, 600);
  const before = [table.joinedAt[1], table.ejectedUntil[1], table.ewmaMs[1], table.inFlight[1], table.loads?.qps[1]];
  table.apply(false, [endpoint("a-1", { weight: 3, zone: "b", metadata: { rack: "7" } })], []);
  table.apply(true, [endpoint("a-0"), endpoint("a-1", { weight: 3, zone: "b", metadata: { rack: "8" } })], []);
  assert.deepEqual(
    [table.joinedAt[1], table.ejectedUntil[1], table.ewmaMs[1], table.inFlight[1], table.loads?.qps[1]],
    before,
  );
  assert.equal(table.group("a", "").weightAt(1), 3);
});
