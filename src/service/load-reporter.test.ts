import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { LoadReport } from "../policy/balance/load-report.ts";
import { InFlight } from "./environment.ts";
import { LoadReporter } from "./load-reporter.ts";
import { ServedCalls } from "./served-calls.ts";

test("a server says how many calls it serves now, how many a second, how long they take, and what it says itself", () => {
  const clock = new VirtualClock();
  const inFlight = new InFlight();
  const served = new ServedCalls(clock);
  const reporter = new LoadReporter(inFlight, served, clock, () => 0.25);
  reporter.text();
  for (let i = 0; i < 500; i++) {
    const call = served.begin(true);
    clock.advance(10);
    served.end(call, i % 10 === 0 ? { code: "internal" } : null);
    reporter.text();
  }
  inFlight.begin();
  inFlight.begin();
  const report = new LoadReport();
  assert.equal(report.read("endpoint-load-metrics", reporter.text()), true);
  assert.equal(report.inFlight, 2);
  assert.ok(report.qps > 95 && report.qps < 101, String(report.qps));
  assert.ok(report.eps > 8 && report.eps < 12, String(report.eps));
  assert.ok(Math.abs(report.latencyMs - 10) < 0.5, String(report.latencyMs));
  assert.equal(report.application, 0.25);
  assert.ok(report.memory > 0 && report.memory < 1);
});

test("the latency that is told is that of calls beside as many others as there are now", () => {
  const clock = new VirtualClock();
  const inFlight = new InFlight();
  const served = new ServedCalls(clock);
  const reporter = new LoadReporter(inFlight, served, clock);
  reporter.text();
  const serve = (others: number, ms: number): void => {
    for (let i = 0; i <= others; i++) inFlight.begin();
    const call = served.begin(true);
    clock.advance(ms);
    served.end(call, null);
    for (let i = 0; i <= others; i++) inFlight.end();
    reporter.text();
  };
  for (let i = 0; i < 40; i++) {
    serve(0, 10);
    serve(20, 90);
  }
  const told = (): number => {
    clock.advance(100);
    const report = new LoadReport();
    report.read("endpoint-load-metrics", reporter.text());
    return Math.round(report.latencyMs);
  };
  assert.equal(told(), 10);
  for (let i = 0; i < 18; i++) inFlight.begin();
  assert.equal(told(), 90);
});

test("between measurements only the number of calls in flight changes", () => {
  const clock = new VirtualClock();
  const inFlight = new InFlight();
  const reporter = new LoadReporter(inFlight, new ServedCalls(clock), clock);
  const before = reporter.text();
  clock.advance(99);
  inFlight.begin();
  assert.equal(reporter.text(), before.replace(/0$/, "1"));
});
