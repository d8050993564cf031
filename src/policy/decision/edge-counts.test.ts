import assert from "node:assert/strict";
import { test } from "node:test";
import { LATENCY_BUCKETS, latencyQuantile } from "../../core/latency-buckets.ts";
import { Effect, type Place } from "../call.ts";
import { endpoint, grpc, TestCall, world } from "../machine/call.case.ts";
import { EdgeCounts } from "./edge-counts.ts";

test("a call is counted once at the version that answered, with its attempts, its end and its duration", () => {
  const policy = world({
    endpoints: [endpoint("products-1", { version: "v1" }), endpoint("products-2", { version: "v1" })],
  });
  const call = new TestCall(policy).begin(grpc("/p.Products/Get"));
  call.fail(1);
  call.advance(100);
  assert.equal(call.count(Effect.forward), 2);
  call.call.connected(2, call.now, true);
  call.head(2, 200, [], false);
  call.call.trailers(2, ["grpc-status", "13"], call.now);
  call.drain();
  const { edges } = policy;
  assert.deepEqual([edges.services, edges.versions], [["products"], ["v1"]]);
  assert.deepEqual([edges.calls[0], edges.errors[0], edges.secure[0], edges.attempts[0]], [1, 1, 1, 2]);
  const p50 = latencyQuantile(edges.latency.subarray(0, LATENCY_BUCKETS), 0.5);
  assert.ok(p50 > 80 && p50 < 130, `${p50}`);
});

test("what no endpoint could take counts at the service, what matched no route at the gateway, and a server's own calls nowhere", () => {
  const policy = world({ endpoints: [] });
  const begun = (place: Place, service: string, path: string) => {
    const call = new TestCall(policy).begin(grpc(path), { place, service });
    call.call.downstreamGone(1);
    call.drain();
  };
  begun("client", "products", "/p.Products/Get");
  begun("gateway", "", "/nowhere");
  begun("client", "", "/nowhere");
  begun("server", "products", "/p.Products/Get");
  const { edges } = policy;
  assert.deepEqual(edges.services, ["products", ""]);
  assert.deepEqual([...edges.calls.subarray(0, 2)], [1, 1]);
  assert.equal(edges.errors[0], 1);
});

test("names from callers cannot make more edges than are kept, and slots that change hands are seen", () => {
  const edges = new EdgeCounts();
  for (let i = 0; i < 10_000; i++) edges.count(edges.edge(`service-${i}`, ""), 200, -1, 1, false, 1);
  assert.equal(edges.size, 4_096);
  const other = new EdgeCounts();
  const first = other.edgeOfSlot(700, "a", "v1");
  assert.equal(other.edgeOfSlot(700, "a", "v1"), first);
  assert.notEqual(other.edgeOfSlot(700, "a", "v2"), first);
});
