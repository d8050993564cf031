import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "weftmesh/system";
import { type LoadReport, simulate } from "weftmesh/testing";

/**
 * One slow server of eleven. Source: Buoyant, "Beyond Round Robin: Load Balancing for Latency", linkerd.io, 16 March 2016.
 *
 *     servers        11, each replaying a latency with a median of 167 ms and a standard deviation of 5 ms, without peaks; they do not slow each other
 *     load           one client, 1,000 calls a second
 *     run            one minute
 *     fault          after 15 s one server's latency is fixed to 2 s, for 30 s
 *     time-out       1 s, for which the article gives success rates: round robin 95 %, least loaded 99 %, peak EWMA 99.9 %
 *
 * The article's balancers are Finagle's: least loaded and peak EWMA choose the better of two drawn at random. Beside the time-out nothing helps: no retry,
 * no breaker.
 */
async function run(kind: "round-robin" | "least-request" | "p2c", seed: number): Promise<LoadReport> {
  const world = simulate(
    {
      services: { backend: { replicas: 11, latencyMs: { logNormal: { p50: 167, p99: 167 + 2.326 * 5 } } } },
      policies: [traffic("backend").timeout("1s").retry(0).breaker(false).balancer(kind)],
    },
    { seed, place: "client" },
  );
  world.fault("backend#1", { latencyMs: 2_000, from: 15_000, forMs: 30_000 });
  return await world.load("GET /", {
    perSecond: 1_000,
    forMs: 60_000,
    arrivals: "even",
    keep: "none",
    with: { service: "backend" },
  });
}

const percent = ({ successRate }: LoadReport): number => successRate * 100;

test("a slow server: round robin, least loaded and peak EWMA succeed as often as the source found, in that order", async (t) => {
  for (const seed of [1, 2]) {
    const roundRobin = await run("round-robin", seed);
    const leastLoaded = await run("least-request", seed);
    const peakEwma = await run("p2c", seed);
    const found = [roundRobin, leastLoaded, peakEwma].map(percent);
    t.diagnostic(`seed ${seed}: ${found.map((share) => share.toFixed(2)).join(", ")} %`);
    [95, 99, 99.9].forEach((expected, i) => {
      assert.ok(
        Math.abs(found[i] - expected) <= 0.5,
        `seed ${seed}: ${found[i].toFixed(2)} % where the source found ${expected} %`,
      );
    });
    assert.ok(found[0] < found[1] && found[1] < found[2]);
  }
});
