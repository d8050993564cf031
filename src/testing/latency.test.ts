import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../core/random.ts";
import { createLatency, type LatencyModel } from "./latency.ts";

function drawn(model: LatencyModel): number[] {
  const random = seededRandom(3);
  const draw = createLatency(model, "test");
  return Array.from({ length: 40_000 }, () => draw(random)).sort((a, b) => a - b);
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const near = (found: number, expected: number, by = 0.05): void =>
  assert.ok(Math.abs(found / expected - 1) < by, `${found}, ${expected} expected`);

test("each model has the percentiles that it says", () => {
  assert.deepEqual(new Set(drawn(7)), new Set([7]));
  near(mean(drawn({ exponential: 10 })), 10);
  near(mean(drawn({ uniform: [5, 15] })), 10);
  const logNormal = drawn({ logNormal: { p50: 10, p99: 80 } });
  near(logNormal[20_000], 10);
  near(logNormal[39_600], 80, 0.1);
  const measured = drawn({ percentiles: { p50: 4, p90: 10, p100: 100 } });
  near(measured[20_000], 4);
  near(measured[36_000], 10);
  assert.ok((measured.at(-1) as number) <= 100);
  near(measured[10_000], 2);
  near(
    mean(
      drawn({
        mix: [
          [3, 10],
          [1, { uniform: [20, 40] }],
        ],
      }),
    ),
    15,
  );
  near(mean(drawn((random) => random.next() * 2)), 1);
});

test("what means nothing is refused with its place", () => {
  const wrong: [LatencyModel, RegExp][] = [
    [Number.NaN, /NaN must be/],
    [{ uniform: [5, 1] }, /the second must not be below/],
    [{ logNormal: { p50: 0, p99: 1 } }, /0 < p50/],
    [{ percentiles: { p200: 1 } }, /"p200" is no percentile/],
    [{ mix: [] }, /weight above 0/],
    [{ often: 3 } as unknown as LatencyModel, /is no latency/],
  ];
  for (const [model, message] of wrong) assert.throws(() => createLatency(model, "products.latencyMs"), message);
});
