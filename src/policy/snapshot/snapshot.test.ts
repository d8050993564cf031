import assert from "node:assert/strict";
import { test } from "node:test";
import { route, traffic } from "../builders.ts";
import { endpoint, grpc, http, METHODS, TestCall, world } from "../machine/call.case.ts";
import { Level } from "../resource/level.ts";
import type { Resource } from "../resource/resources.ts";
import { type PolicyLayer, resolvePolicy } from "./effective-policy.ts";

const layer = (level: PolicyLayer["level"], source: string, spec: PolicyLayer["spec"]): PolicyLayer => ({
  level,
  source,
  spec,
});

test("the more specific policy wins, field by field", () => {
  const policy = resolvePolicy([
    layer(Level.method, "m", { timeout: "1s" }),
    layer(Level.system, "s", { timeout: "9s", perTryTimeout: "3s", retry: { attempts: 5, budget: { ratio: 0.5 } } }),
    layer(Level.service, "v", { timeout: "5s", retry: { on: ["503"] } }),
  ]);
  assert.equal(policy.timeout, 1_000);
  assert.equal(policy.perTryTimeout, 3_000);
  assert.equal(policy.retry.attempts, 5);
  assert.equal(policy.retry.budget.ratio, 0.5);
  assert.equal(policy.retry.budget.minPerSecond, 10);
  assert.deepEqual(policy.retry.on.names, ["503"]);
  assert.deepEqual(policy.sources, { timeout: "m", perTryTimeout: "s", retry: "v" });
});

test("defaults: 15 s, two retries, a lenient breaker, P2C", () => {
  const policy = resolvePolicy([]);
  assert.equal(policy.timeout, 15_000);
  assert.equal(policy.perTryTimeout, Number.POSITIVE_INFINITY);
  assert.equal(policy.retry.attempts, 2);
  assert.equal(policy.breaker?.consecutiveFailures, 50);
  assert.equal(policy.balancer.kind, "p2c");
  assert.equal(policy.fallback, null);
});

test("a named breaker has Hystrix's settings; one with failures in a row has no ratio beside", () => {
  assert.equal(resolvePolicy([layer(Level.service, "a", { breaker: {} })]).breaker?.failureRatio, 0.5);
  const own = resolvePolicy([layer(Level.service, "a", { breaker: { consecutiveFailures: 3 } })]).breaker;
  assert.equal(own?.consecutiveFailures, 3);
  assert.equal(own?.failureRatio, 0);
  assert.equal(resolvePolicy([layer(Level.service, "a", { breaker: { enabled: false } })]).breaker, null);
});

test("services are found by method, by contract and by name", () => {
  const runtime = world();
  assert.equal(new TestCall(runtime).begin(grpc("/p.Products/Get")).endpoints.length, 1);
  assert.equal(new TestCall(runtime).begin(grpc("/p.Products/Unknown")).endpoints.length, 1);
  const byContract = { place: "client", service: "p.Products" } as const;
  assert.equal(new TestCall(runtime).begin(grpc("/p.Products/Get"), byContract).endpoints.length, 1);
  const byName = { place: "client", service: "products" } as const;
  assert.equal(new TestCall(runtime).begin(http("GET", "/anything"), byName).endpoints.length, 1);
});

test("routes of a service hold for calls to it, from clients too", () => {
  const [made] = route("/p.Products/Get").to("products@v2").resources();
  const parentRefs = [{ kind: "Service", name: "products" }];
  const resources = [{ ...made, spec: { ...made.spec, parentRefs } }] as unknown as Resource[];
  const endpoints = [endpoint("products-1", { version: "v1" }), endpoint("products-2", { version: "v2" })];
  const runtime = world({ resources, endpoints });
  const client = { place: "client", service: "products" } as const;
  for (let i = 0; i < 10; i++) {
    assert.deepEqual(new TestCall(runtime).begin(grpc("/p.Products/Get"), client).endpoints, ["products-2"]);
  }
});

test("a request head is matched once for each snapshot", () => {
  const runtime = world({ resources: route("/").to("products").resources() });
  const request = http("GET", "/");
  new TestCall(runtime).begin(request);
  const facts = request.memo;
  new TestCall(runtime).begin(request);
  assert.equal(request.memo, facts);
  runtime.applyResources(2, route("/").to("other").resources(), METHODS);
  assert.equal(new TestCall(runtime).begin(request).reason, "NO_HEALTHY_ENDPOINT");
});

test("an update of resources keeps the state of what it does not change", () => {
  const policy = traffic("products").retry(0).breaker({ consecutiveFailures: 1, sleep: "10s" }).resources();
  const runtime = world({ resources: policy });
  new TestCall(runtime).begin(grpc("/p.Products/Get")).head(1, 200, ["grpc-status", "13"]);
  runtime.applyResources(2, [...policy, ...route("/new").to("products").resources()], METHODS);
  assert.equal(new TestCall(runtime, 1).begin(grpc("/p.Products/Get")).reason, "BREAKER_OPEN");
});

test("calls under way end well while their endpoint is removed and its slot given away", () => {
  const runtime = world({ endpoints: [endpoint("products-1")] });
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get"));
  runtime.applyEndpoints({ endpointVersion: 2, full: true, changed: [endpoint("products-9")], removed: [] });
  call.head(1, 200, ["grpc-status", "0"]);
  assert.equal(call.reason, "");
  assert.equal(runtime.describe("products", 0)[0].inFlight, 0);
});
