import assert from "node:assert/strict";
import { test } from "node:test";
import { Effect } from "../call.ts";
import { endpoint, grpc, http, TestCall, world } from "./call.case.ts";
import { UNREACHED_FIELD } from "./unreached.ts";

const UNREACHED = [UNREACHED_FIELD, "1"];
const PRODUCTS = { service: "products" };

test("a sidecar that cannot reach its application is an endpoint that cannot be reached: the call goes elsewhere, the next ones too", () => {
  const runtime = world({ endpoints: [endpoint("products-1"), endpoint("products-2")] });
  const seen = new Set<string>();
  const call = new TestCall(runtime).begin(http("POST", "/"), PRODUCTS);
  const [first] = call.endpoints;
  call.head(1, 503, UNREACHED, false);
  assert.equal(call.count(Effect.cancel), 1);
  assert.equal(call.endpoints.length, 2, "what was not made may be made again, even a POST");
  assert.notEqual(call.endpoints[1], first);
  call.head(2, 200);
  for (let i = 1; i < 20; i++)
    for (const id of new TestCall(runtime, i).begin(http("GET", "/"), PRODUCTS).head(1, 200).endpoints) seen.add(id);
  assert.ok(!seen.has(first));
});

test("of a gRPC call its trailers say so", () => {
  const call = new TestCall(world({ endpoints: [endpoint("products-1"), endpoint("products-2")] })).begin(
    grpc("/p.Products/Get"),
    PRODUCTS,
  );
  call.head(1, 200, ["content-type", "application/grpc", "grpc-status", "14", ...UNREACHED], true);
  assert.equal(call.endpoints.length, 2);
});

test("where no other is left the caller hears that it cannot be reached", () => {
  const call = new TestCall(world({ endpoints: [endpoint("products-1")] })).begin(http("GET", "/"), PRODUCTS);
  call.head(1, 503, UNREACHED, true);
  for (let i = 2; !call.call.ended && i < 9; i++) call.advance(1_000).head(i, 503, UNREACHED, true);
  assert.equal(call.reason, "UPSTREAM_CONNECT");
});

test("a sidecar says it of an application that takes no connection, and of nothing else", () => {
  const said = (kind: "connect" | "reset") => {
    const runtime = world();
    runtime.forwardTo({ host: "127.0.0.1", port: 3_000, protocol: "http1" });
    const call = new TestCall(runtime).begin(http("GET", "/"), { place: "server", service: "products" }).fail(1, kind);
    return call.call.response?.fields.includes(UNREACHED_FIELD);
  };
  assert.equal(said("connect"), true);
  assert.equal(said("reset"), false);
});
