import assert from "node:assert/strict";
import { test } from "node:test";
import { joinFigures } from "./call-stats.ts";
import { GatewayStats } from "./gateway-stats.ts";
import { type ReportedLoad, ServiceStats } from "./service-stats.ts";

/** Bucket 28 ends at 1.28 ms. */
function load(id: string, measuredMs: number, calls: number, errors = 0, bucket = 28): ReportedLoad {
  const latency = { buckets: [bucket], counts: [BigInt(calls)] } as unknown as ReportedLoad["latency"];
  return { id, measuredMs, calls: BigInt(calls), errors: BigInt(errors), latency };
}

test("rates and quantiles of replicas are put together from what each reports", () => {
  const stats = new ServiceStats();
  stats.add([load("a-1", 5_000, 1_000), load("a-2", 700, 0, 0, 40)], 0);
  assert.equal(stats.endpoints(["a-1", "a-2"]), null);
  stats.add([load("a-1", 6_000, 1_090, 1), load("a-2", 1_700, 10, 0, 40)], 1_000);
  const all = stats.endpoints(["a-1", "a-2"]);
  assert.deepEqual([all?.perSecond, all?.errors, all?.failing], [100, 1, true]);
  assert.ok(all !== null && all.p50Ms > 1 && all.p50Ms < 1.3, String(all?.p50Ms));
  assert.ok(all !== null && all.p99Ms > 8 && all.p99Ms < 10.3, String(all?.p99Ms));
});

test("an idle endpoint's rate falls to 0, and old errors are past", () => {
  const stats = new ServiceStats();
  for (let second = 0; second < 10; second++) {
    const calls = Math.min(second, 2) * 50;
    stats.add([load("a-1", 1_000 + second * 1_000, calls, Math.min(second, 2))], second * 1_000);
  }
  assert.deepEqual(stats.endpoints(["a-1"]), { perSecond: 0, p50Ms: NaN, p99Ms: NaN, errors: 2, failing: false });
});

test("a report that is read twice counts once", () => {
  const stats = new ServiceStats();
  stats.add([load("a-1", 1_000, 10)], 0);
  stats.add([load("a-1", 1_000, 10)], 1_000);
  assert.equal(stats.endpoints(["a-1"]), null);
  stats.add([load("a-1", 3_000, 30)], 2_000);
  assert.equal(stats.endpoints(["a-1"])?.perSecond, 10);
});

test("an endpoint that restarted counts anew, and one that reports no more is forgotten", () => {
  const stats = new ServiceStats();
  stats.add([load("a-1", 9_000, 100), load("a-2", 9_000, 100)], 0);
  stats.add([load("a-1", 500, 5), load("a-2", 10_000, 200)], 1_000);
  assert.equal(stats.endpoints(["a-1"]), null);
  assert.equal(stats.endpoints(["a-2"])?.perSecond, 100);
  stats.add([load("a-1", 1_500, 15), load("a-2", 10_000, 200)], 2_000);
  assert.equal(stats.endpoints(["a-1"])?.perSecond, 10);
  stats.add([load("a-2", 10_000, 200)], 10_000);
  assert.equal(stats.endpoints(["a-1", "a-2"]), null);
});

test("what reports nothing of its own has the gateway's figures", () => {
  const gateway = new GatewayStats();
  const services = new ServiceStats();
  const scrape = (count: number) => `weft_endpoint_duration_seconds_count{service="s",endpoint="py-1"} ${count}\n`;
  gateway.add(scrape(0), 0);
  gateway.add(scrape(7), 1_000);
  services.add([load("a-1", 1_000, 10), load("py-1", 0, 0)], 0);
  services.add([load("a-1", 2_000, 20), load("py-1", 0, 0)], 1_000);
  const figures = joinFigures(services, gateway);
  assert.equal(figures.endpoints(["a-1"])?.perSecond, 10);
  assert.equal(figures.endpoints(["py-1"])?.perSecond, 7);
});
