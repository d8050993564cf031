import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../policy/builders.ts";
import { endpoint, grpc, TestCall, world } from "../policy/machine/call.case.ts";
import { exposition } from "../telemetry/exposition.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { resilienceMetrics } from "./resilience-metrics.ts";

test("retries, breakers, ejections and fallbacks are exported by service", () => {
  const policy = traffic("products")
    .retry(1)
    .breaker({ consecutiveFailures: 2 })
    .outlier({ consecutive5xx: 2, maxEjectionPercent: 100 })
    .fallback({ body: {} });
  const runtime = world({ resources: policy.resources(), endpoints: [endpoint("products-1")] });
  const metrics = createMetrics();
  resilienceMetrics(metrics, runtime);
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get"), { place: "client", service: "products" });
  call.head(1, 200, ["grpc-status", "14"]).advance(30).head(2, 200, ["grpc-status", "14"]);
  const text = exposition(metrics);
  for (const line of [
    'weft_retries_total{service="products",verdict="made"} 1',
    'weft_breaker_state{service="products"} 2',
    'weft_breaker_openings_total{service="products"} 1',
    'weft_outlier_ejections_total{service="products",rule="consecutive 5xx"} 1',
    'weft_fallbacks_total{service="products",kind="static"} 1',
  ])
    assert.ok(text.includes(line), `${line} in\n${text}`);
});
