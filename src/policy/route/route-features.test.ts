import assert from "node:assert/strict";
import { test } from "node:test";
import { grpcRoute, route } from "../builders.ts";
import { type Call, Effect } from "../call.ts";
import { endpoint, grpc, http, TestCall, world } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";
import { parseResources } from "../resource/validate.ts";
import type { PolicyRuntime } from "../runtime.ts";

/** The fields of the answer that the caller gets, after a 200 of the first attempt. */
function answered(runtime: PolicyRuntime, request: ReturnType<typeof http>): { call: Call; fields: readonly string[] } {
  const call = runtime.createCall();
  const context = { ...CONTEXT };
  call.begin(request, context, false, 0);
  let fields: readonly string[] = [];
  const drain = (): void => {
    for (let kind = call.next(); kind !== Effect.none; kind = call.next()) {
      if (kind === Effect.deliver) fields = call.addFields ?? [];
      if (kind === Effect.respond) fields = call.response?.fields ?? [];
    }
  };
  drain();
  if (!call.ended) call.head(1, 200, [], true, 1);
  drain();
  return { call, fields };
}
const CONTEXT = {
  place: "gateway",
  service: "",
  asSent: null,
  peerAddress: "10.1.1.1:4000",
  peerIdentity: "",
  secure: true,
  deadline: Number.POSITIVE_INFINITY,
  callerAttempt: 0,
  requestId: "id",
} as const;
const fieldIn = (fields: readonly string[], name: string): string | undefined => {
  const at = fields.findIndex((field, i) => i % 2 === 0 && field === name);
  return at < 0 ? undefined : fields[at + 1];
};

test("the builders' routes are valid and match as they say", () => {
  const resources: readonly Resource[] = [
    ...route("/v[0-9]+/orders").matching().to("orders").named("pattern").resources(),
    ...route("/lane").header("x-lane", { matches: "b.*" }).query("n", { matches: "[0-9]+" }).to("products").resources(),
    ...grpcRoute("p.Products/Get").to({ "products@v1": 1 }).resources(),
    ...grpcRoute("*/Watch").to("watchers").sticky({ by: "header", name: "x-session" }).resources(),
    ...grpcRoute("q\\..*").matching().header("x-a", "b").mirror("shadow", 5).to("queues").resources(),
  ];
  assert.equal(parseResources(resources).resources.length, 5);
  const runtime = world({ resources });
  assert.deepEqual(runtime.backendsOf(http("GET", "/v12/orders")), ["orders"]);
  assert.deepEqual(runtime.backendsOf(http("GET", "/v12/orders/1")), []);
  assert.deepEqual(runtime.backendsOf(http("GET", "/lane?n=12", ["x-lane", "blue"])), ["products"]);
  assert.deepEqual(runtime.backendsOf(http("GET", "/lane?n=a", ["x-lane", "blue"])), []);
  assert.deepEqual(runtime.backendsOf(grpc("/p.Products/Get")), ["products"]);
  assert.deepEqual(runtime.backendsOf(grpc("/x.Y/Watch")), ["watchers"]);
  assert.deepEqual(runtime.backendsOf({ ...grpc("/q.Q/Put"), fields: [...grpc("").fields, "x-a", "b"] }), ["queues"]);
});

test("header changes of a backend come after the rule's, and only calls to it get them", () => {
  const resources = route("/")
    .headers({ set: { "x-from": "rule" }, add: { "x-all": "1" } })
    .responseHeaders({ set: { "x-served": "rule" } })
    .to({
      "products@v1": { weight: 0 },
      "products@v2": {
        headers: { set: { "x-from": "v2" }, remove: ["x-all"] },
        responseHeaders: { remove: ["x-served"] },
      },
    })
    .resources();
  const runtime = world({ resources, endpoints: [endpoint("products-1", { version: "v2" })] });
  const call = runtime.createCall();
  call.begin(http("GET", "/"), CONTEXT, false, 0);
  while (call.next() !== Effect.forward);
  assert.deepEqual(call.addFields, ["x-from", "v2"]);
  assert.deepEqual(call.removeFields, ["x-from", "x-all"]);
  call.head(1, 200, [], true, 1);
  while (call.next() !== Effect.deliver);
  assert.equal(call.addFields, null);
  assert.deepEqual(call.removeFields, ["x-served"]);
  const plain = world({
    resources: route("/")
      .to({ products: { headers: {} } })
      .headers({ set: { a: "1" } })
      .resources(),
  });
  const other = plain.createCall();
  other.begin(http("GET", "/"), CONTEXT, false, 0);
  while (other.next() !== Effect.forward);
  assert.deepEqual(other.addFields, ["a", "1"]);
});

test("a fraction of requests is mirrored", () => {
  const resources = route("/").to("products").mirror("shadow", { numerator: 1, denominator: 4 }).resources();
  const runtime = world({ resources, endpoints: [endpoint("products-1"), endpoint("shadow-1")] });
  let mirrored = 0;
  for (let i = 0; i < 400; i++) mirrored += new TestCall(runtime).begin(http("GET", "/")).count(Effect.mirror);
  assert.ok(mirrored > 70 && mirrored < 130, String(mirrored));
});

test("a preflight is answered by the machine, before gates and without an attempt", () => {
  const resources = route("/api")
    .to("products")
    .cors({ allowOrigins: ["https://shop.example"], allowMethods: ["PUT"], allowHeaders: ["X-Id"], maxAge: 60 })
    .resources();
  const runtime = world({ resources });
  const ask = ["origin", "https://shop.example", "access-control-request-method", "PUT"];
  const { call, fields } = answered(runtime, http("OPTIONS", "/api/x", ask));
  assert.equal(call.response?.status, 204);
  assert.deepEqual(fields, [
    "access-control-allow-origin",
    "https://shop.example",
    "access-control-allow-methods",
    "PUT",
    "access-control-allow-headers",
    "x-id",
    "access-control-max-age",
    "60",
    "vary",
    "origin, access-control-request-method, access-control-request-headers",
  ]);
  assert.equal(call.decision.attempts.length, 0);
  const denied = answered(runtime, http("OPTIONS", "/api/x", ["origin", "https://evil.example", ...ask.slice(2)]));
  assert.equal(denied.call.decision.outcome.status, 403);
  assert.equal(denied.call.decision.outcome.reason, "CORS_ORIGIN");
  assert.equal(fieldIn(denied.fields, "access-control-allow-origin"), undefined);
  // Without the browser's question OPTIONS is a request like others.
  assert.equal(new TestCall(runtime).begin(http("OPTIONS", "/api/x", ask.slice(0, 2))).endpoints.length, 1);
});

test("answers to allowed origins say so, also those that the machine makes; others only vary", () => {
  const resources = route("/api")
    .to("products")
    .cors({ allowOrigins: ["https://*.shop.example"], allowCredentials: true, exposeHeaders: ["x-id", "*"] })
    .resources();
  const runtime = world({ resources });
  const { call, fields } = answered(runtime, http("GET", "/api", ["origin", "https://a.b.shop.example"]));
  assert.deepEqual(fields, [
    "access-control-allow-origin",
    "https://a.b.shop.example",
    "access-control-allow-credentials",
    "true",
    "access-control-expose-headers",
    "x-id",
    "vary",
    "origin",
  ]);
  assert.deepEqual(call.removeFields, [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
  ]);
  const origin = (text: string): string | undefined =>
    fieldIn(answered(runtime, http("GET", "/api", ["origin", text])).fields, "access-control-allow-origin");
  assert.equal(origin("https://A.shop.example:443"), "https://A.shop.example:443");
  for (const wrong of [
    "https://shop.example",
    "http://a.shop.example",
    "https://a.shop.example:444",
    "https://a.shop.example.evil",
    "https://evil/.shop.example",
    "null",
  ])
    assert.equal(origin(wrong), undefined);
  assert.deepEqual(answered(runtime, http("GET", "/api")).fields, ["vary", "origin"]);
  const gone = world({ resources, endpoints: [] });
  const local = answered(gone, http("GET", "/api", ["origin", "https://a.shop.example"]));
  assert.equal(local.call.decision.outcome.reason, "NO_HEALTHY_ENDPOINT");
  assert.equal(fieldIn(local.fields, "access-control-allow-origin"), "https://a.shop.example");
});

test("any origin is * without credentials, and repeated with them", () => {
  const open = world({ resources: route("/").to("products").cors("*").resources() });
  assert.deepEqual(answered(open, http("GET", "/", ["origin", "https://x.example"])).fields, [
    "access-control-allow-origin",
    "*",
  ]);
  const filter = { allowOrigins: ["*"], allowCredentials: true, allowMethods: ["*"], allowHeaders: ["*"] };
  const free = world({
    resources: route("/")
      .to("products")
      .cors({ allowOrigins: ["*"], allowHeaders: ["*"] })
      .resources(),
  });
  const named = (headers: string): string | undefined =>
    fieldIn(
      answered(
        free,
        http("OPTIONS", "/", [
          "origin",
          "https://x.example",
          "access-control-request-method",
          "PUT",
          "access-control-request-headers",
          headers,
        ]),
      ).fields,
      "access-control-allow-headers",
    );
  assert.equal(named("x-a"), "*");
  assert.equal(named("authorization,x-a"), "authorization,x-a");
  const closed = world({ resources: route("/").to("products").cors(filter).resources() });
  const ask = ["origin", "https://x.example", "access-control-request-method", "PUT"];
  const { fields } = answered(closed, http("OPTIONS", "/", [...ask, "access-control-request-headers", "x-a,x-b"]));
  assert.equal(fieldIn(fields, "access-control-allow-origin"), "https://x.example");
  assert.equal(fieldIn(fields, "access-control-allow-methods"), "PUT");
  assert.equal(fieldIn(fields, "access-control-allow-headers"), "x-a,x-b");
  assert.equal(fieldIn(answered(closed, http("OPTIONS", "/", ask)).fields, "access-control-allow-headers"), undefined);
});
