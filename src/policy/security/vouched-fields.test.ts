import assert from "node:assert/strict";
import { test } from "node:test";
import { authentication, authorization, rateLimit } from "../builders.ts";
import { Effect } from "../call.ts";
import { endpoint, http, TestCall, world } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";

/* Fields that a gate alone says (claims, an external check's answers): later rules and limits see what it said, not what a caller wrote under their names. */

const sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // of "secret"
const buyers = authentication("shop")
  .apiKey(
    { consumers: [{ name: "ann", sha256, claims: { role: "buyer" } }] },
    {
      claimHeaders: [
        { claim: "role", header: "X-Role" },
        { claim: "team", header: "x-team" },
      ],
    },
  )
  .on("products");

function asked(resources: readonly Resource[], fields: readonly string[]): TestCall {
  const runtime = world({ resources, endpoints: [endpoint("products-1")] });
  const call = new TestCall(runtime, 1_000).begin(http("GET", "/", ["x-api-key", "secret", ...fields]), {
    service: "products",
    place: "gateway",
  });
  return call;
}

test("a rule on a field that a claim fills is not met by what the caller writes there", () => {
  const rules = authorization("products").allow({ headers: [{ name: "x-role", equals: "admin" }] });
  const inCel = authorization("products").allow({
    when: "'x-role' in request.headers && request.headers['x-role'] == 'admin'",
  });
  for (const policy of [rules, inCel]) {
    for (const forged of [
      ["x-role", "admin"],
      ["x_role", "admin"],
      ["x-role", "admin", "x-role", "admin"],
    ])
      assert.equal(asked([...buyers.resources(), ...policy.resources()], forged).reason, "FORBIDDEN");
  }
  const team = authorization("products").deny({ headers: [{ name: "x-team", exists: false }] });
  assert.equal(asked([...buyers.resources(), ...team.resources()], ["x-team", "core"]).reason, "FORBIDDEN");
});

test("and is met by what the claim says", () => {
  const rules = authorization("products").allow({ headers: [{ name: "x-role", equals: "buyer" }] });
  const call = asked([...buyers.resources(), ...rules.resources()], ["x-role", "admin"]);
  assert.equal(call.count(Effect.forward), 1);
});

test("nor does a limit by it count by what the caller writes", () => {
  const runtime = world({
    resources: [...buyers.resources(), ...rateLimit("products").allow(2, "1m").byHeader("x-role").resources()],
    endpoints: [endpoint("products-1")],
  });
  const reasons = Array.from({ length: 4 }, (_, i) => {
    const request = http("GET", "/", ["x-api-key", "secret", "x-role", `made-up-${i}`]);
    return new TestCall(runtime, 1_000).begin(request, { service: "products", place: "gateway" }).reason;
  });
  assert.deepEqual(reasons, ["", "", "RATE_LIMITED", "RATE_LIMITED"]);
});
