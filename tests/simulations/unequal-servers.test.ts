import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "weftmesh/system";
import { type LoadReport, simulate } from "weftmesh/testing";

/**
 * Servers of unequal speed at 70 % load. Source: Wydrowski, Kleinberg, Rumble, Archer, "Load is not what you should balance: Introducing Prequal",
 * NSDI 2024: heterogeneous servers, load near 70 % and 90 % of what was allocated, compared by tail latency; round robin overloads the slow ones.
 *
 *     servers        20, processor sharing on 4 processors each; every second one has 0.6 of the others' speed
 *     work           exponential, 20 ms on a fast server: together they do 20 x 4 x 0.8 / 20 ms = 3,200 calls a second
 *     load           Poisson, 2,240 calls a second: 70 %. In turn, each server gets 112 calls a second: 56 % of what a fast one can do, 93 % of a slow one
 *     callers        10 clients that know nothing of each other, since one that sees everything would flatter any rule
 *     run            40 s, of which the first 10 s are not counted; no time-out, no retry, no breaker
 *     reports        for the hot-cold rule servers say on their answers how many calls they have and how long these take
 */
async function run(kind: "round-robin" | "p2c" | "prequal"): Promise<LoadReport> {
  const world = simulate(
    {
      services: {
        search: {
          replicas: 20,
          latencyMs: { exponential: 20 },
          concurrency: 4,
          above: "share",
          speed: [1, 0.6],
          networkMs: 0.5,
          reportsLoad: true,
        },
      },
      policies: [traffic("search").timeout("0s").retry(0).breaker(false).balancer(kind)],
    },
    { seed: 11, place: "client" },
  );
  const clients = Array.from({ length: 10 }, (_, i) => ({ service: "search", from: `client-${i + 1}` }));
  return await world.load(clients, { perSecond: 2_240, forMs: 40_000, warmUpMs: 10_000, keep: "none" });
}

test("unequal servers at 70 % load: peak EWMA and the hot-cold rule have a far shorter tail than round robin", async (t) => {
  const roundRobin = await run("round-robin");
  const peakEwma = await run("p2c");
  const hotCold = await run("prequal");
  const factor = (other: LoadReport): number => roundRobin.p99 / other.p99;
  for (const [name, seen] of Object.entries({ roundRobin, peakEwma, hotCold })) {
    t.diagnostic(
      `${name}: p50 ${seen.p50.toFixed(0)} ms, p99 ${seen.p99.toFixed(0)} ms, p99.9 ${seen.p999.toFixed(0)} ms, ${factor(seen).toFixed(1)} x`,
    );
  }
  assert.ok(factor(peakEwma) >= 3, `peak EWMA: ${factor(peakEwma)}`);
  assert.ok(factor(hotCold) >= 3, `hot-cold: ${factor(hotCold)}`);
});
