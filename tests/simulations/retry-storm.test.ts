import assert from "node:assert/strict";
import { test } from "node:test";
import { route, traffic } from "weftmesh/system";
import { simulate } from "weftmesh/testing";

/**
 * Retries in several layers multiply: three layers that each try three times send 27 requests for one. Source: Google, "Site Reliability Engineering", 2016,
 * chapter 22, "Addressing Cascading Failures": retry at one layer only.
 *
 *     layers         gateway -> a -> b -> c, each of whose callers retries twice, on 503 and unavailable
 *     load           one call at a time, without budgets or breakers in the way
 *     fault          c answers every call with 503
 */
test("a failure behind three layers of retries is not tried 27 times", async () => {
  let seen = 0;
  const world = simulate({
    services: {
      a: { calls: ["b"] },
      b: { calls: ["c"] },
      c: {
        answer: () => {
          seen++;
          return { status: 503 };
        },
      },
    },
    routes: [route("/a").to("a")],
    policies: [
      traffic("*")
        .retry(2, { on: ["503"], budget: { ratio: 1, minPerSecond: 1_000 } })
        .breaker(false)
        .timeout("5s"),
    ],
  });
  const call = await world.call("GET /a");
  assert.equal(call.status, 503);
  // The first attempt of every layer is tried three times below it; whatever is a retry already is passed on once: 3 + 2 and twice 1 more.
  assert.equal(seen, 7);
});
