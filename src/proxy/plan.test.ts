import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { requestHead } from "../wire/head.ts";
import type { HttpStream } from "../wire/stream.ts";
import { isGrpc, Planner } from "./plan.ts";
import { TrustedProxies } from "./trusted-proxies.ts";

const stream = {
  connection: { version: "1.1", peer: { address: "10.0.0.9:5000", localAddress: "", secure: false, identity: "" } },
} as unknown as HttpStream;
const planner = (trusted: readonly string[] | null = null) =>
  new Planner({
    rest: null,
    local: new Set(["grpc.health.v1.Health"]),
    trustedProxies: trusted === null ? null : new TrustedProxies(trusted),
  });

test("what only the hop before may say is replaced, and what goes on keeps its order", () => {
  const head = requestHead("GET", "http", "shop.example", "/v1/products?x=1", [
    "accept",
    "*/*",
    "x-forwarded-for",
    "1.2.3.4",
    "x-weft-attempt",
    "7",
    "endpoint-load-metrics-format",
    "TEXT",
    "x-forwarded-proto",
    "https",
    "x-other",
    "kept",
    "traceparent",
    "bad",
  ]);
  const { upstream } = planner().plan(stream, head);
  assert.deepEqual(upstream.fields, [
    "accept",
    "*/*",
    "x-other",
    "kept",
    "via",
    "1.1 weft",
    "x-forwarded-proto",
    "http",
    "x-forwarded-host",
    "shop.example",
  ]);
  assert.equal(upstream.path, "/v1/products?x=1");
});

test("a caller cannot say in other words what only hops may say", () => {
  const said = [
    ...[
      "forwarded",
      "for=1.2.3.4;host=evil",
      "x-forwarded-port",
      "1",
      "x-forwarded-client-cert",
      "URI=spiffe://shop/a",
    ],
    ...["x-forwarded-prefix", "/evil", "x-real-ip", "1.2.3.4", "x-original-url", "/admin", "x-rewrite-url", "/admin"],
    ...[
      "x_forwarded_for",
      "1.2.3.4",
      "x_weft_attempt",
      "2",
      "x-weft_limited",
      "a",
      "x_request_id",
      "a",
      "x_real_ip",
      "a",
    ],
  ];
  const head = requestHead("GET", "http", "shop", "/", [...said, "x-forwarded", "kept", "x_other", "kept"]);
  const passed = planner()
    .plan(stream, head)
    .upstream.fields.filter((_, i) => i % 2 === 0);
  assert.deepEqual(passed, ["x-forwarded", "x_other", "via", "x-forwarded-proto", "x-forwarded-host"]);
  const trusted = planner(["10.0.0.0/8"]).plan(stream, requestHead("GET", "http", "shop", "/", said)).upstream.fields;
  assert.equal(fieldOf(trusted, "x-real-ip"), "1.2.3.4");
  assert.equal(fieldOf(trusted, "x-forwarded-port"), "1");
  assert.equal(trusted.filter((field) => field.includes("_")).length, 0);
});

test("a trusted caller's forwarding fields are kept and added to", () => {
  const head = requestHead("GET", "http", "inner", "/", [
    "x-forwarded-for",
    "1.2.3.4",
    "x-forwarded-proto",
    "https",
    "x-forwarded-host",
    "outer",
    "via",
    "2 edge",
  ]);
  const plan = planner(["10.0.0.0/8"]).plan(stream, head);
  assert.deepEqual([plan.forwardedFor, plan.client, plan.secure], ["1.2.3.4", "1.2.3.4:0", true]);
  assert.equal(fieldOf(plan.upstream.fields, "x-forwarded-proto"), "https");
  assert.equal(fieldOf(plan.upstream.fields, "x-forwarded-host"), "outer");
  assert.equal(fieldOf(plan.upstream.fields, "via"), "2 edge, 1.1 weft");
});

test("a head that a trusted and another peer sent alike is planned for each", () => {
  const one = planner(["10.0.0.0/8"]);
  const head = requestHead("GET", "http", "a", "/", ["x-forwarded-for", "1.2.3.4"]);
  const from = (address: string) =>
    ({ connection: { version: "2", peer: { address, localAddress: "", secure: false, identity: "" } } }) as HttpStream;
  assert.equal(one.plan(from("10.0.0.9:1"), head).client, "1.2.3.4:0");
  assert.equal(one.plan(from("192.0.2.1:1"), head).client, "");
  assert.equal(one.plan(from("10.0.0.9:1"), head).client, "1.2.3.4:0");
});

test("a request id goes on only when it is harmless", () => {
  const id = (value: string) =>
    planner().plan(stream, requestHead("GET", "http", "a", "/", ["x-request-id", value])).requestId;
  assert.equal(id("7f2c-19"), "7f2c-19");
  assert.equal(id('x"y'), "");
  assert.equal(id("y".repeat(129)), "");
});

test("an interned head is planned once", () => {
  const one = planner();
  const head = requestHead("GET", "http", "a", "/");
  assert.equal(one.plan(stream, head), one.plan(stream, head));
});

test("gRPC is recognised by its content type alone, and the proxy's own services by their path", () => {
  const grpc = (type: string) => isGrpc(requestHead("POST", "http", "a", "/b/c", ["content-type", type]));
  assert.ok(grpc("application/grpc") && grpc("application/grpc+proto") && grpc("application/grpc;x=1"));
  assert.ok(!grpc("application/grpcx") && !grpc("application/json") && !grpc("application/grpc-web"));
  const health = requestHead("POST", "http", "a", "/grpc.health.v1.Health/Check", ["content-type", "application/grpc"]);
  assert.ok(planner().plan(stream, health).local);
  assert.ok(!planner().plan(stream, requestHead("GET", "http", "a", "/grpc.health.v1.Health/Check")).local);
});

test("a grpc-timeout is a deadline, and a malformed one is refused", () => {
  const timeout = (value: string) =>
    planner().plan(
      stream,
      requestHead("POST", "http", "a", "/b/c", ["content-type", "application/grpc", "grpc-timeout", value]),
    );
  assert.equal(timeout("250m").timeoutMs, 250);
  assert.equal(timeout("250m").found, null);
  const { found } = timeout("soon");
  assert.ok(found instanceof WeftError && found.reason === "BAD_TIMEOUT");
});
