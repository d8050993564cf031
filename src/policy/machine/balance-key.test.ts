import assert from "node:assert/strict";
import { test } from "node:test";
import type { HashKeySpec } from "../balance/balancer-spec.ts";
import { traffic } from "../builders.ts";
import { type CallContext, Effect } from "../call.ts";
import type { PolicyRuntime } from "../runtime.ts";
import { endpoint, grpc, http, TestCall, world } from "./call.case.ts";

const endpoints = Array.from({ length: 8 }, (_, i) => endpoint(`products-${i + 1}`));

function hashed(hash: readonly HashKeySpec[], kind: "ring-hash" | "maglev" = "ring-hash"): PolicyRuntime {
  const options = kind === "maglev" ? { tableSize: 251, hash } : { hash };
  return world({ resources: traffic("products").retry(2).balancer(kind, options).resources(), endpoints });
}

/** Where a call goes, and why. */
function place(runtime: PolicyRuntime, path: string, fields: readonly string[], parts: Partial<CallContext> = {}) {
  const call = new TestCall(runtime).begin(http("GET", path, fields), { service: "products", ...parts });
  const { why } = call.call.decision.attempts[0];
  call.head(1, 200);
  return { to: call.endpoints[0], why, call };
}

test("calls with the same header, query parameter, cookie, address, identity or message field go to the same endpoint", () => {
  const cases: [HashKeySpec, (value: string) => [string, string[], Partial<CallContext>]][] = [
    [{ by: "header", name: "X-User" }, (value) => ["/a", ["x-user", value], {}]],
    [{ by: "query", name: "user" }, (value) => [`/a?b=1&user=${value}`, [], {}]],
    [{ by: "cookie", name: "user" }, (value) => ["/a", ["cookie", `a=b; user=${value}`], {}]],
    [{ by: "address" }, (value) => ["/a", [], { peerAddress: `10.0.0.${value}:${1_000 + Number(value)}` }]],
    [{ by: "identity" }, (value) => ["/a", [], { peerIdentity: `spiffe://shop/${value}` }]],
    [
      { by: "message", name: "user.id" },
      (value) => ["/a", [], { messageField: (path) => (path === "user.id" ? value : undefined) }],
    ],
  ];
  for (const kind of ["ring-hash", "maglev"] as const) {
    for (const [key, request] of cases) {
      const runtime = hashed([key], kind);
      const seen = new Set<string>();
      for (let user = 0; user < 40; user++) {
        const first = place(runtime, ...request(String(user)));
        assert.equal(place(runtime, ...request(String(user))).to, first.to);
        assert.match(first.why, new RegExp(`^${kind}: place \\d+ for ${key.by}.*, hash [0-9a-f]{8}$`));
        seen.add(first.to);
      }
      assert.ok(seen.size >= 6, `${key.by}: ${[...seen]}`);
    }
  }
});

test("keys are joined in their order, up to a terminal one that the call has", () => {
  const runtime = hashed([
    { by: "header", name: "x-tenant", terminal: true },
    { by: "header", name: "x-user" },
  ]);
  const tenant = place(runtime, "/a", ["x-tenant", "t", "x-user", "one"]);
  assert.equal(place(runtime, "/a", ["x-tenant", "t", "x-user", "two"]).to, tenant.to);
  assert.match(tenant.why, /header x-tenant, hash/);
  assert.match(place(runtime, "/a", ["x-user", "two"]).why, /header x-user, hash/);
  const joined = hashed([
    { by: "header", name: "x-tenant" },
    { by: "header", name: "x-user" },
  ]);
  assert.match(place(joined, "/a", ["x-tenant", "t", "x-user", "one"]).why, /header x-tenant, header x-user, hash/);
});

test("calls without a key go anywhere", () => {
  const runtime = hashed([{ by: "header", name: "x-user" }]);
  const seen = new Set(Array.from({ length: 100 }, () => place(runtime, "/a", []).to));
  assert.equal(seen.size, 8);
  assert.match(place(runtime, "/a", []).why, /no key, drawn at random/);
});

test("a gateway makes the cookie that is not there, and the caller comes back with it to the same endpoint", () => {
  const runtime = hashed([{ by: "cookie", name: "place", ttl: "1h", path: "/shop" }]);
  const call = new TestCall(runtime).begin(http("GET", "/a"), { service: "products", secure: true });
  call.head(1, 200, [], false);
  const cookie = fieldsOf(call, "set-cookie");
  const [, value] = /^place=([0-9a-f]{16}); Max-Age=3600; Path=\/shop; HttpOnly; Secure$/.exec(cookie) ?? [];
  assert.ok(value, cookie);
  for (let i = 0; i < 20; i++) assert.equal(place(runtime, "/a", ["cookie", `place=${value}`]).to, call.endpoints[0]);
  const client = new TestCall(runtime).begin(http("GET", "/a"), { service: "products", place: "client" });
  client.head(1, 200, [], false);
  assert.equal(fieldsOf(client, "set-cookie"), "");
});

/** A field that the answer gets. */
function fieldsOf({ call }: TestCall, name: string): string {
  const add = call.addFields ?? [];
  const at = add.indexOf(name);
  return at < 0 ? "" : add[at + 1];
}

test("a retry goes on to the next endpoint of the key, always the same", () => {
  const runtime = hashed([{ by: "header", name: "x-user" }]);
  const run = () => {
    const call = new TestCall(runtime).begin(http("GET", "/a", ["x-user", "ada"]), { service: "products" });
    call.fail(1, "refused").head(2, 200);
    return call.endpoints;
  };
  const [first, second] = run();
  assert.notEqual(first, second);
  assert.deepEqual(run(), [first, second]);
});

test("a subset that is empty is told apart from limits, and says what would have helped", () => {
  const resources = traffic("products")
    .balance({ subset: { match: { stage: { header: "x-stage" } }, fallback: "none" } })
    .resources();
  const runtime = world({ resources, endpoints: [endpoint("products-1", { metadata: { stage: "prod" } })] });
  const call = new TestCall(runtime).begin(http("GET", "/a", ["x-stage", "dev"]), { service: "products" });
  assert.equal(call.reason, "NO_HEALTHY_ENDPOINT");
  const { decision } = call.call;
  assert.equal(
    decision.steps.find(({ rule }) => rule === "endpoint")?.text,
    "no healthy endpoint of products in subset stage=dev; 1 of products are known",
  );
  assert.match(decision.nearest, /in subset stage=dev, or with another subset\.fallback in TrafficPolicy products/);
  const passed = new TestCall(runtime).begin(http("GET", "/a", ["x-stage", "prod"]), { service: "products" });
  assert.equal(passed.count(Effect.forward), 1);
});

test("the typed client's metadata counts as headers", () => {
  const runtime = hashed([{ by: "header", name: "x-user" }]);
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get"), {
    place: "client",
    extraFields: ["x-user", "ada"],
  });
  assert.match(call.call.decision.attempts[0].why, /header x-user, hash/);
});
