import assert from "node:assert/strict";
import { test } from "node:test";
import { objective, traffic } from "../src/system.ts";
import { exposition } from "../src/telemetry/exposition.ts";
import { startLoopbackGateway } from "./loopback-gateway.ts";

test("a gateway counts calls against an objective, tells its metrics, and sheds when the budget is gone", async () => {
  const policies = [
    ...objective("origin").availability(99).minCalls(20).shed({ when: "spent", percent: 100 }).resources(),
    ...traffic("origin")
      .retry(0)
      .breaker(false)
      .cache()
      .fault({ delay: { fixed: "1ms", percent: 0 } })
      .resources(),
  ];
  let fails = true;
  await using world = await startLoopbackGateway(policies, (_request, response) => {
    response.writeHead(fails ? 500 : 200).end("x");
  });
  for (let i = 0; i < 20; i++) assert.equal((await world.call("/")).status, 500);
  fails = false;
  await new Promise((resolve) => setTimeout(resolve, 1_050)); // it looks once a second
  const shed = await world.call("/");
  assert.equal(shed.status, 503);
  assert.match(shed.body, /OBJECTIVE_SHED/);
  const text = exposition(world.gateway.metrics);
  const metrics = Buffer.from(text as never).toString();
  assert.match(metrics, /weft_objective_budget_left\{objective="origin",kind="availability"\} -9[89]/);
  assert.match(metrics, /weft_objective_burn_rate\{objective="origin",kind="availability",window="1h"\} (100|99)/);
  assert.match(metrics, /weft_objective_shed_total\{objective="origin"\} 1/);
  assert.match(metrics, /weft_cache_calls_total\{policy="TrafficPolicy origin",result="miss"\} 20/);
  assert.match(metrics, /weft_faults_active\{policy="TrafficPolicy origin"\} 0/);
});
