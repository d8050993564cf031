import assert from "node:assert/strict";
import { test } from "node:test";
import { exposition } from "../../telemetry/exposition.ts";
import { createMetrics } from "../../telemetry/metrics.ts";
import { GatewayStats } from "./gateway-stats.ts";

/** What the gateway records, under the names that it gives. */
function gateway() {
  const metrics = createMetrics();
  const calls = metrics.histogram("weft_call_duration_seconds", "", ["service"]);
  const errors = metrics.counter("weft_call_errors_total", "", ["service"]);
  const durations = metrics.histogram("weft_endpoint_duration_seconds", "", ["service", "endpoint"]);
  const attempts = metrics.counter("weft_attempts_total", "", ["service", "endpoint", "outcome"]);
  return {
    call(endpoint: string, ms: number, outcome = "ok") {
      calls.with("s").record(ms);
      durations.with("s", endpoint).record(ms);
      attempts.with("s", endpoint, outcome).add();
      if (outcome !== "ok") errors.with("s").add();
    },
    text: () => exposition(metrics),
  };
}

test("rates and quantiles are those of the last seconds", () => {
  const { call, text } = gateway();
  const stats = new GatewayStats();
  for (let i = 0; i < 1_000; i++) call("a-1", 500); // long ago
  stats.add(text(), 0);
  assert.equal(stats.total(), null);
  for (let i = 0; i < 98; i++) call("a-1", 2);
  for (let i = 0; i < 2; i++) call("a-2", 100);
  stats.add(text(), 2_000);
  const all = stats.endpoints(["a-1", "a-2"]);
  assert.equal(all?.perSecond, 50);
  assert.ok(all !== null && all.p50Ms > 1 && all.p50Ms < 4, String(all?.p50Ms));
  assert.ok(all !== null && all.p99Ms > 50 && all.p99Ms < 200, String(all?.p99Ms));
  assert.equal(stats.endpoints(["a-2"])?.perSecond, 1);
  assert.equal(stats.total()?.perSecond, 50);
});

test("errors are counted from the start and told apart from present ones", () => {
  const { call, text } = gateway();
  const stats = new GatewayStats();
  call("a-1", 1, "timeout");
  for (let second = 0; second < 8; second++) stats.add(text(), second * 1_000);
  assert.deepEqual([stats.total()?.errors, stats.total()?.failing], [1, false]);
  call("a-1", 1, "reset");
  stats.add(text(), 9_000);
  assert.deepEqual([stats.endpoints(["a-1"])?.errors, stats.endpoints(["a-1"])?.failing], [2, true]);
});

test("a gateway that restarted counts anew", () => {
  const before = gateway();
  const after = gateway();
  const stats = new GatewayStats();
  for (let i = 0; i < 10; i++) before.call("a-1", 1);
  stats.add(before.text(), 0);
  stats.add(after.text(), 1_000);
  assert.equal(stats.total(), null);
  after.call("a-1", 1);
  stats.add(after.text(), 2_000);
  assert.equal(stats.total()?.perSecond, 1);
});

test("without calls there are no quantiles, and any text can be scraped", () => {
  const stats = new GatewayStats();
  stats.add("", 0);
  stats.add("nonsense{\nweft_attempts_total{} x", 1_000);
  assert.deepEqual([stats.total()?.perSecond, stats.total()?.p50Ms], [0, Number.NaN]);
});
