import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "weftmesh/system";
import { simulate } from "weftmesh/testing";

/**
 * A dependency that is down does not see its load multiplied. Source of the default budget (20 % and 10 a second, over 10 s): Finagle's RetryBudget and
 * Linkerd's, "How we designed retries in Linkerd 2.2".
 *
 *     servers        5, log-normal latency, p50 10 ms, p99 50 ms
 *     load           1,000 calls a second, at even distances: what a Poisson load would add or miss is as much as the budget leaves
 *     run            30 s in which every answer is a 503: from the start of the process, and after 15.5 s in which all went well
 *     policy         the defaults (two retries, back-off, budget), but for the breaker, which would help
 */
test("with the default budget a dependency that always fails gets at most 20 % and 10/s more", async (t) => {
  // From the process's start, and after it has seen better times, in which calls have earned retries that were not needed.
  for (const [seed, from] of [
    [1, 0],
    [2, 15_500],
  ]) {
    let calls = 0;
    let more = 0;
    const world = simulate(
      {
        services: {
          stock: {
            replicas: 5,
            latencyMs: { logNormal: { p50: 10, p99: 50 } },
            answer({ fields }) {
              const failing = world.now > from && world.now <= from + 30_000;
              if (failing && fields["x-weft-attempt"] === undefined) calls++;
              else if (failing) more++;
              return { status: failing ? 503 : 200 };
            },
          },
        },
        policies: [traffic("stock").breaker(false)],
      },
      { seed, place: "client" },
    );
    const forMs = from + 30_000;
    await world.load("GET /", { perSecond: 1_000, forMs, arrivals: "even", keep: "none", with: { service: "stock" } });
    const allowed = calls * 0.2 + 10 * 30;
    t.diagnostic(`from ${from / 1_000} s on: ${calls} calls, ${more} more attempts, ${allowed.toFixed(0)} allowed`);
    assert.ok(more <= allowed, `${more} more attempts than calls; ${allowed} are allowed`);
    assert.ok(more >= allowed * 0.9, "and the budget is used");
  }
});
