import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import { Level } from "../resource/level.ts";
import type { TrafficPolicySpec } from "../resource/resources.ts";
import { parseResources } from "../resource/validate.ts";
import { resolvePolicy } from "../snapshot/effective-policy.ts";

const policy = (spec: object) => ({
  apiVersion: "weftmesh.dev/v1",
  kind: "TrafficPolicy",
  metadata: { name: "a" },
  spec,
});

const errorOf = (spec: object): string => {
  try {
    parseResources([policy(spec)]);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

const layer = (spec: TrafficPolicySpec, level: Level = Level.service) => ({ level, source: "a", spec });

test("what resilience does not understand is refused, with what to write instead", () => {
  assert.match(errorOf({ hedge: { after: "95%" } }), /hedge\.after.*quantile such as "p95".*duration such as "30ms"/);
  assert.match(errorOf({ hedge: { after: "p20" } }), /p50 to p99.99/);
  assert.match(errorOf({ hedge: { max: 9 } }), /from 1 to 4/);
  assert.match(errorOf({ outlier: { maxEjectionPercent: 110 } }), /from 0 to 100/);
  assert.match(errorOf({ outlier: { consecutiveGateway: 3 } }), /unknown field/);
  assert.match(errorOf({ limits: { maxPending: 0 } }), /from 1 to/);
  assert.match(errorOf({ idleTimeout: 5 }), /needs a unit/);
  assert.match(errorOf({ fallback: { stale: false } }), /must be true, or absent/);
  assert.match(errorOf({ fallback: { grpc: { status: "nope" } } }), /grpc\.status/);
  assert.match(errorOf({ fallback: { grpc: { status: "ok" } } }), /needs an encoded message/);
  assert.match(errorOf({ fallback: { grpc: { status: "internal", body: "" } } }), /goes with status "ok" only/);
  assert.match(errorOf({ retry: { backoff: { resetHeaders: [{ name: "x", format: "date" }] } } }), /seconds or unix/);
  assert.equal(errorOf({ hedge: { after: "p99.9" }, outlier: {}, idleTimeout: "0s", fallback: { stale: true } }), "");
});

test("a stand-by that nobody declares is warned of, with what was probably meant", () => {
  const resources = traffic("products").fallback({ service: "product-standby" }).resources();
  const { warnings } = parseResources(resources, { services: ["products", "products-standby"] });
  assert.match(warnings.map(({ message }) => message).join(), /did you mean "products-standby"/);
});

test("nothing is hedged and no endpoint is judged by its answers unless a policy names it; then Envoy's and gRPC's defaults hold", () => {
  const none = resolvePolicy([]);
  assert.equal(none.hedge, null);
  assert.equal(none.outlier, null);
  assert.equal(none.idleTimeout, Number.POSITIVE_INFINITY);
  assert.equal(none.limits.connections, null);
  const named = resolvePolicy([layer({ hedge: {}, outlier: {} })]);
  assert.deepEqual([named.hedge?.quantile, named.hedge?.max, named.hedge?.ratio], [0.95, 1, 0.05]);
  const { outlier } = named;
  assert.deepEqual([outlier?.consecutive5xx, outlier?.intervalMs, outlier?.baseEjectionMs], [5, 10_000, 30_000]);
  assert.deepEqual([outlier?.maxEjectionMs, outlier?.maxEjectionPercent], [300_000, 10]);
  assert.deepEqual([outlier?.successRateStdevFactor, outlier?.failurePercentageThreshold], [1_900, 85]);
});

test("fields count for themselves, and more specific policies switch off", () => {
  const system = layer({ hedge: { after: "50ms", ratio: 0.1 }, outlier: { consecutive5xx: 3 } }, Level.system);
  const merged = resolvePolicy([system, layer({ hedge: { after: "p90" }, limits: { maxStreams: 5 } })]);
  assert.deepEqual([merged.hedge?.quantile, merged.hedge?.ratio], [0.9, 0.1]);
  assert.equal(merged.limits.connections?.maxStreams, 5);
  assert.equal(merged.limits.connections?.maxPending, Number.POSITIVE_INFINITY);
  const off = resolvePolicy([system, layer({ hedge: { enabled: false }, outlier: { enabled: false } })]);
  assert.equal(off.hedge, null);
  assert.equal(off.outlier, null);
  const [built] = traffic("a").hedge(false).outlier(false).idleTimeout(0).resources();
  assert.equal(built.kind === "TrafficPolicy" && built.spec.hedge?.enabled, false);
});
