import assert from "node:assert/strict";
import { test } from "node:test";
import { route } from "../builders.ts";
import { explainDecision } from "../decision/explain.ts";
import { grpc, http, TestCall, world } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";

const SHOP: readonly Resource[] = [
  ...route("/v1/orders").to("products").named("all").resources(),
  ...route("/v1/orders").host("eu.shop.example").to("products").named("eu").resources(),
  ...route("/v1/orders").header("x-lane", "blue").to("products").named("blue").resources(),
  ...route("/v1/orders").query("v", { matches: "2.*" }).to("products").named("second").resources(),
  ...route("/v1/payments").method("POST").to("products").named("pay").resources(),
  ...route("/admin").host("admin.shop.example").to("products").named("admin").resources(),
  ...route("/v1/lanes").header("x-lane", "blue").to("products").named("lanes").resources(),
  ...route("/only").header("x-token", "s3cret").to("products").named("only").resources(),
];

function explained(request: ReturnType<typeof http>): { text: string; message: string } {
  const { call } = new TestCall(world({ resources: SHOP })).begin(request).head(1, 200);
  return { text: explainDecision(call.decision), message: call.response?.error?.message ?? "" };
}

test("says where the rule stands, and why those before it for the same path did not take the call", () => {
  const { text } = explained(http("GET", "/v1/orders/7", ["x-lane", "green"]));
  assert.match(
    text,
    /route {6}\/v1\/orders -> products .*rule 6 of 8 \(HTTPRoute\/all\); 5th: needs query v like 2\.\*, 4th: needs header x-lane: blue, 2nd: host differs/,
  );
  assert.match(explained(http("GET", "/v1/orders", [], "eu.shop.example:80")).text, /rule 2 of 8 \(HTTPRoute\/eu\)\n/);
});

test("of a rule with several matches the one is named that took the call", () => {
  const resources = route("/a").or("/b").header("x-lane", { matches: "b.*" }).to("products").resources();
  const { call } = new TestCall(world({ resources })).begin(http("GET", "/b/c", ["x-lane", "blue"])).head(1, 200);
  assert.match(
    explainDecision(call.decision),
    /\/a, \/b -> products .*rule 1 of 1 \(HTTPRoute\/a\), match \/b header x-lane\n/,
  );
});

test("a request that no route matches is told the nearest, and what it lacks, without the route's values", () => {
  assert.match(explained(http("GET", "/v1/payments/1")).message, /nearest route is \/v1\/payments, which is for POST$/);
  assert.match(explained(http("GET", "/admin/x")).message, /nearest route is \/admin, which is for other hosts$/);
  assert.match(explained(http("GET", "/only")).message, /nearest route is \/only, which needs header x-token$/);
  assert.match(explained(http("GET", "/v1/order")).message, /nearest route is \/v1\/orders$/);
  assert.match(explained(http("GET", "/nothing/like/it")).message, /^no route matches GET \/nothing\/like\/it$/);
});

test("the decision names it in full", () => {
  const nearest = (request: ReturnType<typeof http>): string =>
    /nearest +(.*)/.exec(explained(request).text)?.[1] ?? "";
  assert.equal(
    nearest(http("GET", "/only/1")),
    "would have matched /only -> products (HTTPRoute/only#main), which needs header x-token",
  );
  assert.equal(
    nearest(http("GET", "/admin")),
    "would have matched /admin -> products (HTTPRoute/admin#main), which is for admin.shop.example",
  );
  assert.equal(nearest(http("GET", "/v1/order")), "was /v1/orders -> products meant?");
  assert.match(nearest(http("GET", "/v1/lanes")), /which needs header x-lane: blue$/);
  assert.equal(nearest(grpc("/x.Y/Z")), "");
});
