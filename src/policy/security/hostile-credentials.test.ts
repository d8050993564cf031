import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { authentication, authorization } from "../builders.ts";
import { Effect } from "../call.ts";
import { endpoint, http, TestCall, world } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";

const gateway = { service: "products", place: "gateway", secure: true } as const;
const under = (...resources: readonly Resource[]) => world({ resources, endpoints: [endpoint("products-1")] });

function call(runtime: ReturnType<typeof under>, fields: readonly string[], path = "/", method = "GET"): TestCall {
  return new TestCall(runtime, 1_000).begin(http(method, path, fields), gateway);
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

test("whatever claims an unsigned token makes, it is refused and throws nothing", () => {
  const resources = authentication("shop")
    .jwt(
      {
        issuer: "https://id",
        audiences: ["shop"],
        jwks: { url: "https://id/keys" },
        requiredClaims: [{ claim: "a.b", contains: "x" }],
      },
      { claimHeaders: [{ claim: "role", header: "x-role" }] },
    )
    .on("products")
    .resources();
  const runtime = under(...resources);
  const objects: unknown[] = [
    { toString: 1, valueOf: 1 },
    { toString: null },
    { __proto__: null, toString: {} },
    [[[{ toString: 0, valueOf: 0 }]]],
    { toJSON: 1 },
  ];
  const odd = fc.oneof(fc.constantFrom<unknown>(...objects, "\ud800", -0, null), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(
      fc.record(
        {
          iss: fc.oneof(fc.constant<unknown>("https://id"), odd),
          aud: fc.oneof(odd, fc.array(odd)),
          exp: odd,
          nbf: odd,
          iat: odd,
          a: odd,
          sub: odd,
          role: odd,
        },
        { requiredKeys: ["iss"] },
      ),
      fc.record(
        { alg: fc.oneof(fc.constant<unknown>("RS256"), odd), kid: odd, typ: odd, crit: odd },
        { requiredKeys: ["alg"] },
      ),
      (claims, header) => {
        const token = `${part(header)}.${part(claims)}.AAAA`;
        const made = call(runtime, ["authorization", `Bearer ${token}`]);
        if (!made.call.ended) made.call.answered(made.call.queryId, { verified: false, problem: "no" }, 1_000);
        made.drain();
        assert.equal(made.reason, "TOKEN_INVALID");
      },
    ),
    { numRuns: 300 },
  );
});

test("whatever a signature covers, it is refused and throws nothing", () => {
  const resources = authentication("partners")
    .hmac({ keys: [{ id: "partner", secret: { env: "PARTNER" } }], requireNonce: false })
    .on("products")
    .resources();
  const runtime = under(...resources);
  runtime.setWallAt(1_700_000_000_000);
  for (const component of [
    '"@query-param";name="%zz"',
    '"@query-param";name="%"',
    '"@query-param";name="%C3"',
    '"@x"',
    '"__proto__"',
  ]) {
    const covers = `("@method" "@authority" "@path" "@query" ${component})`;
    const fields = ["signature-input", `a=${covers};created=1700000001;keyid="partner"`, "signature", "a=:AAAA:"];
    assert.equal(call(runtime, fields, "/?a=%zz").reason, "TOKEN_INVALID", component);
  }
});

test("what an external check would say of the user is not believed of the caller, also where the check lets pass without an answer", () => {
  const resources = authorization("products")
    .ask({ http: { url: "http://check.test/" }, upstreamHeaders: ["x-user"], fail: "open" }, { paths: ["/checked/*"] })
    .resources();
  const runtime = under(...resources);
  const forged = ["x-user", "admin", "x_user", "admin"];
  const silent = call(runtime, forged, "/checked/1").advance(1_000);
  assert.equal(silent.count(Effect.forward), 1);
  assert.deepEqual([...new Set(silent.call.removeFields)].sort(), ["x-user", "x_user"]);
  const past = call(runtime, forged, "/elsewhere");
  assert.equal(past.count(Effect.forward), 1);
  assert.ok(past.call.removeFields?.includes("x-user"));
});

test("an external check judges the path that rules see", () => {
  const runtime = under(
    ...authorization("products")
      .ask({ http: { url: "http://check.test/" } })
      .resources(),
  );
  for (const path of ["/public/../admin?x=/../y", "//admin?x=/../y", "/%61dmin?x=/../y"]) {
    const asked = call(runtime, [], path);
    const told = (asked.call.query as { about: unknown } | null)?.about as { path: string } | undefined;
    assert.equal(told?.path, "/admin?x=/../y");
  }
});

test("a deny rule in CEL, and one on methods, are not passed by writing the request otherwise", () => {
  const resources = authorization("products")
    .deny({ when: "request.path.startsWith('/admin')" })
    .deny({ methods: ["DELETE"] })
    .resources();
  const runtime = under(...resources);
  for (const path of ["/admin", "/%61dmin", "//admin", "/%2561dmin/x", "/x/..;/admin", "/.;/admin", "/x%2f..%2fadmin"])
    assert.equal(call(runtime, [], path).reason, "FORBIDDEN", path);
  for (const method of ["DELETE", "delete", "Delete"]) assert.equal(call(runtime, [], "/", method).reason, "FORBIDDEN");
  assert.equal(call(runtime, [], "/public").count(Effect.forward), 1);
});

test("a gate that fails lets nobody pass, and ends nothing but the call", () => {
  const runtime = under(
    ...authorization("products")
      .deny({ hosts: ["x"] })
      .resources(),
  );
  const request = Object.defineProperty(http("GET", "/"), "authority", {
    get: () => {
      throw new TypeError("secret detail");
    },
  });
  const failed = new TestCall(runtime, 1_000).begin(request, gateway);
  assert.equal(failed.reason, "POLICY_FAILED");
  assert.equal(failed.call.response?.status, 500);
  assert.doesNotMatch(failed.call.response?.error?.message ?? "", /secret/);
  assert.equal(failed.count(Effect.forward), 0);
  assert.equal(failed.count(Effect.end), 1);
  assert.match(JSON.stringify(failed.call.decision), /authorize.*could not be applied: TypeError: secret detail +at /);
  runtime.release(failed.call);
  assert.equal(call(runtime, []).count(Effect.forward), 1);
});
