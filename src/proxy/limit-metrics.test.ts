import assert from "node:assert/strict";
import { test } from "node:test";
import { rateLimit, traffic } from "../policy/builders.ts";
import { grpc, TestCall, world } from "../policy/machine/call.case.ts";
import { exposition } from "../telemetry/exposition.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { limitMetrics } from "./limit-metrics.ts";

test("prints what limits and admission did", () => {
  const runtime = world({
    resources: [
      ...rateLimit("products").allow(1, "1m").resources(),
      ...traffic("products").admission().concurrency("vegas", { enforcedBy: "caller" }).resources(),
    ],
  });
  const metrics = createMetrics();
  limitMetrics(metrics, runtime);
  for (let i = 0; i < 3; i++) new TestCall(runtime).begin(grpc("/p.Products/Get"));
  runtime.process.countShed("cpu", 3);
  const text = exposition(metrics);
  for (const line of [
    'weft_limited_total{limit="products",verdict="passed"} 1',
    'weft_limited_total{limit="products",verdict="denied"} 2',
    'weft_shed_total{reason="cpu",priority="3"} 1',
    'weft_concurrency_limit{service="products"} 20',
    'weft_concurrency_in_flight{service="products"} 1',
  ])
    assert.ok(text.includes(line), `${line} is missing in\n${text}`);
});
