import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exposition } from "./exposition.ts";
import { createMetrics, Histogram } from "./metrics.ts";

test("a quantile is within a bucket's width of the exact one", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.02, max: 50_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (values, q) => {
        const histogram = new Histogram();
        for (const value of values) histogram.record(value);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(q * values.length - 1e-9) - 1)];
        const found = histogram.quantile(q);
        assert.ok(found >= exact / 1.2 && found <= exact * 1.2, `${found} for ${exact}`);
      },
    ),
  );
});

test("a quantile since an earlier reading ignores what came before", () => {
  const histogram = new Histogram();
  for (let i = 0; i < 100; i++) histogram.record(1_000);
  const before = histogram.buckets.slice();
  for (let i = 0; i < 100; i++) histogram.record(1);
  assert.ok(histogram.quantile(0.99, before) < 1.3);
  assert.equal(new Histogram().quantile(0.5), 0);
});

test("durations out of every range are counted", () => {
  const histogram = new Histogram();
  for (const ms of [0, -1, 0.001, 1e9]) histogram.record(ms);
  assert.equal(
    histogram.buckets.reduce((a, b) => a + b),
    4,
  );
});

test("label values from traffic cannot grow a family past its limit", () => {
  const metrics = createMetrics(3);
  const family = metrics.counter("calls_total", "Calls.", ["path"]);
  for (let i = 0; i < 1_000; i++) family.with(`/${i}`).add();
  const [reading] = metrics.collect();
  assert.equal(reading.children.size, 4);
  assert.equal(
    [...reading.children.values()].reduce((sum, child) => sum + (child.recorder as { value: number }).value, 0),
    1_000,
  );
});

test("the same name with other labels is refused", () => {
  const metrics = createMetrics();
  metrics.counter("a", "A.", ["x"]);
  assert.throws(() => metrics.counter("a", "A.", ["y"]), /exists as a counter/);
  assert.throws(() => metrics.gauge("a", "A.", ["x"]), /exists as a counter/);
});

test("the exposition escapes labels, and buckets are cumulative", () => {
  const metrics = createMetrics();
  metrics.counter("calls_total", "All\ncalls.", ["name"]).with('a"b\\c\nd').add(2);
  const histogram = metrics.histogram("took_seconds", "Time.").with();
  histogram.record(1);
  histogram.record(100);
  const level = metrics.gauge("level", "Level.").with();
  metrics.onCollect(() => level.set(7));
  const text = exposition(metrics);
  assert.match(
    text,
    /# HELP calls_total All\\ncalls\.\n# TYPE calls_total counter\ncalls_total\{name="a\\"b\\\\c\\nd"\} 2\n/,
  );
  assert.match(text, /level 7\n/);
  assert.match(text, /took_seconds_bucket\{le="\+Inf"\} 2\ntook_seconds_sum 0\.101\ntook_seconds_count 2\n/);
  const counts = [...text.matchAll(/took_seconds_bucket\{le="[^"]+"\} (\d+)/g)].map((match) => Number(match[1]));
  assert.deepEqual(
    counts,
    counts.toSorted((a, b) => a - b),
  );
});
