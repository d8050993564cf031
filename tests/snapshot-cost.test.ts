import assert from "node:assert/strict";
import { test } from "node:test";
import { snapshotCost } from "../bench/snapshot.ts";

/** The whole size is measured by bench/snapshot.ts: 400 MB for 1,000 services, 10,000 routes and 100,000 endpoints; a change 1/1,000 of compiling. */
test("a large snapshot is small, and one endpoint's change costs next to nothing of it", (t) => {
  const cost = snapshotCost(200, 10, 100); // a fifth
  const compiledMs = cost.resourcesMs + cost.endpointsMs;
  t.diagnostic(
    `${cost.plansMb.toFixed(0)} MB; ${compiledMs.toFixed(0)} ms; a change ${(cost.changeMs * 1_000).toFixed(1)} us`,
  );
  assert.deepEqual([cost.services, cost.routes, cost.endpoints], [200, 2_000, 20_000]);
  assert.ok(cost.plansMb <= 400 / 5, `${cost.plansMb} MB`);
  assert.ok(cost.changeMs <= compiledMs / 1_000, `${cost.changeMs} ms of ${compiledMs} ms`);
});
