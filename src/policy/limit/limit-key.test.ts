import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CallContext, CallRequest } from "../call.ts";
import { context, http } from "../machine/call.case.ts";
import type { CallState } from "../machine/call-state.ts";
import { NOBODY } from "../machine/principal.ts";
import { addressPrefix } from "./address-prefix.ts";
import { compileKey, keyOfValues, keyText } from "./limit-key.ts";
import type { RateLimitKey } from "./rate-limit-spec.ts";

function keyOf(
  spec: RateLimitKey | readonly RateLimitKey[],
  request: CallRequest = http("GET", "/"),
  parts: Partial<CallContext> & { principal?: Partial<CallState["principal"]> } = {},
): string {
  const { principal, ...rest } = parts;
  const call = { request, caller: context(rest), principal: { ...NOBODY, ...principal } };
  return compileKey(spec)(call as unknown as CallState);
}

test("tells callers apart by what the key names", () => {
  const request = http("GET", "/v1/orders/17/items?user=ann%20b&x=1", ["x-tenant", "gold", "cookie", "a=1; id=77"]);
  assert.equal(keyOf({ by: "all" }, request), "");
  assert.equal(keyOf({ by: "header", header: "X-Tenant" }, request), "gold");
  assert.equal(keyOf({ by: "header", header: "absent" }, request), "");
  assert.equal(keyOf({ by: "query", query: "user" }, request), "ann b");
  assert.equal(keyOf({ by: "path" }, request), "/v1/orders/17/items");
  assert.equal(keyOf({ by: "path", segment: 3 }, request), "17");
  assert.equal(keyOf({ by: "path", segment: 9 }, request), "");
  assert.equal(keyOf({ by: "identity" }, request, { peerIdentity: "spiffe://shop/web" }), "spiffe://shop/web");
  const claims = { tenant: { id: 7 }, roles: ["a", "b"], own: true, "https://shop.example/plan": "gold" };
  const principal = { subject: "user-9", claims };
  assert.equal(keyOf({ by: "subject" }, request, { principal }), "user-9");
  assert.equal(keyOf({ by: "claim", claim: "tenant.id" }, request, { principal }), "7");
  assert.equal(keyOf({ by: "claim", claim: "roles" }, request, { principal }), "a,b");
  assert.equal(keyOf({ by: "claim", claim: "https://shop.example/plan" }, request, { principal }), "gold");
  assert.equal(keyOf({ by: "claim", claim: "tenant.toString" }, request, { principal }), "");
  const messageField = (path: string) => (path === "order.customer_id" ? "c-1" : undefined);
  assert.equal(keyOf({ by: "field", field: "order.customer_id" }, request, { messageField }), "c-1");
});

test("a path in another spelling, or the request that the gateway made of it, is no other key", () => {
  assert.equal(keyOf({ by: "path" }, http("GET", "/a/%2e%2e/b")), "/b");
  assert.equal(keyOf({ by: "path" }, http("GET", "/%62")), "/b");
  const asSent = http("GET", "/v1/products", ["x-tenant", "gold"]);
  assert.equal(keyOf({ by: "header", header: "x-tenant" }, http("POST", "/p.Products/Get"), { asSent }), "gold");
});

test("several keys count by combination, and none can pass for another", () => {
  const both: RateLimitKey[] = [
    { by: "header", header: "x-a" },
    { by: "query", query: "b" },
  ];
  assert.equal(keyText(keyOf(both, http("GET", "/?b=2", ["x-a", "1"]))), "1 / 2");
  assert.notEqual(
    keyOf(both, http("GET", "/?b=y", ["x-a", "x"])),
    keyOf(both, http("GET", "/?b=", ["x-a", "x\u0001y"])),
  );
  assert.equal(keyOfValues(both, ["1", "2"]), keyOf(both, http("GET", "/?b=2", ["x-a", "1"])));
});

test("secrets do not become keys, long values become short ones", () => {
  const secret = http("GET", "/", ["authorization", "Bearer s3cr3t", "cookie", "sid=s3cr3t", "x-api-key", "s3cr3t"]);
  for (const key of [
    { by: "header", header: "authorization" },
    { by: "header", header: "X-API-Key" },
    { by: "cookie", cookie: "sid" },
  ] as RateLimitKey[]) {
    assert.match(keyOf(key, secret), /^[0-9a-f]{16}$/);
  }
  const long = (end: string) =>
    keyOf({ by: "header", header: "x" }, http("GET", "/", ["x", `${"a".repeat(5_000)}${end}`]));
  assert.ok(long("1").length <= 256);
  assert.notEqual(long("1"), long("2"));
  for (const key of [
    { by: "query", query: "api_key" },
    { by: "query", query: "access_token" },
  ] as const) {
    const secret = keyOf(key, http("GET", `/?${key.query}=hunter2`));
    assert.match(secret, /^[0-9a-f]{16}$/);
    assert.equal(keyOfValues(key, "hunter2"), secret);
  }
});

test("addresses count by network: an IPv6 host has a /64", () => {
  assert.equal(addressPrefix("10.1.2.3:5000", 32, 64), "10.1.2.3");
  assert.equal(addressPrefix("10.1.2.3:5000", 24, 64), "10.1.2.0/24");
  assert.equal(addressPrefix("[2001:db8:1:2:3:4:5:6]:443", 32, 64), "2001:db8:1:2::/64");
  assert.equal(addressPrefix("[2001:db8:1:2ff::1]:443", 32, 56), "2001:db8:1:200::/56");
  assert.equal(addressPrefix("[::ffff:10.1.2.3]:443", 24, 64), "10.1.2.0/24");
  assert.equal(addressPrefix("[fe80::1%eth0]:443", 32, 64), "fe80:0:0:0::/64");
  assert.equal(addressPrefix("2001:db8::7", 32, 64), "2001:db8:0:0::/64");
  assert.equal(addressPrefix("unknown", 24, 64), "unknown");
});

test("a key is made of anything", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.string({ maxLength: 40 }), (value, peer) => {
      const key = keyOf({ by: "header", header: "x" }, http("GET", `/?q=${value}`, ["x", value]));
      assert.ok(key.length <= 256);
      keyOf({ by: "query", query: "q" }, http("GET", `/?q=${value}`));
      assert.ok(addressPrefix(peer, 24, 64).length <= 60);
    }),
    { numRuns: 30 },
  );
});
