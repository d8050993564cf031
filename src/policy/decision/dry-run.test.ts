import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import { context, endpoint, http, TestCall, world } from "../machine/call.case.ts";
import { dryRun } from "./dry-run.ts";

test("a made-up call shows the endpoints that outlier detection has put out by then", () => {
  const runtime = world({
    resources: traffic("products").outlier({ consecutive5xx: 1, maxEjectionPercent: 50 }).resources(),
    endpoints: [endpoint("products-1"), endpoint("products-2")],
  });
  const failed = new TestCall(runtime).begin(http("GET", "/"), { service: "products" }).head(1, 500, [], true);
  const ejected = failed.call.decision.attempts[0].endpoint;
  const why = (at: number) =>
    dryRun(runtime, http("GET", "/"), context({ service: "products" }), at).candidates.map((candidate) => [
      candidate.endpoint,
      candidate.why,
    ]);
  assert.deepEqual(
    why(10).find(([name]) => name === ejected),
    [ejected, "put aside after failures"],
  );
  assert.doesNotMatch(JSON.stringify(why(40_000)), /put aside/);
});
