import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "weftmesh/system";
import { simulate } from "weftmesh/testing";

/**
 * A dependency that is down does not see its load multiplied. Source of the default budget (20 % and 10 a second, over 10 s): Finagle's RetryBudget and
 * Linkerd's, "How we designed retries in Linkerd 2.2".
 *
 *     servers        5, log-normal latency, p50 10 ms, p99 50 ms
 *     load           Poisson, 1,000 calls a second
 *     run            30 s from the start of the process, every answer a 503
 *     policy         the defaults (two retries, back-off, budget), but for the breaker, which would help
 */
test("with the default budget a dependency that always fails gets at most 20 % and 10/s more", async (t) => {
  for (const seed of [1, 2, 3]) {
    let attempts = 0;
    const world = simulate(
      {
        services: {
          stock: {
            replicas: 5,
            latencyMs: { logNormal: { p50: 10, p99: 50 } },
            answer: () => {
              if (world.now <= 30_000) attempts++;
              return { status: 503 };
            },
          },
        },
        policies: [traffic("stock").breaker(false)],
      },
      { seed, place: "client" },
    );
    const with_ = { service: "stock" };
    const seen = await world.load("GET /", { perSecond: 1_000, forMs: 30_000, keep: "none", with: with_ });
    const more = attempts - seen.calls;
    const allowed = seen.calls * 0.2 + 10 * 30;
    t.diagnostic(`${seen.calls} calls, ${more} more attempts, ${allowed.toFixed(0)} allowed`);
    assert.equal(seen.succeeded, 0);
    assert.ok(more <= allowed, `${more} more attempts than calls; ${allowed} are allowed`);
    assert.ok(more >= allowed * 0.9, "and the budget is used");
  }
});
