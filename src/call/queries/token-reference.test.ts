import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type JWTPayload, jwtVerify, SignJWT } from "jose";
import { authentication } from "../../policy/builders.ts";
import { Effect } from "../../policy/call.ts";
import { endpoint, http, METHODS, TestCall } from "../../policy/machine/call.case.ts";
import { route } from "../../policy/resource/route-builder.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import { createSecurityQueries } from "./security-queries.ts";

const WALL = 1_700_000_000_000;
const NOW = WALL / 1000;
const SECRET = "a secret that is shared with the issuer";

/** Around the borders of what is accepted. */
const seconds = fc.option(
  fc.constantFrom(NOW - 3_600, NOW - 11, NOW - 10, NOW - 9, NOW, NOW + 9, NOW + 10, NOW + 11, NOW + 60),
  { nil: undefined },
);
const claims = fc.record(
  {
    iss: fc.constantFrom("id", "id", "id", "other"),
    aud: fc.constantFrom<string | string[]>("shop", "shop", "bank", ["bank", "shop"], [], "sho"),
    exp: seconds,
    nbf: seconds,
    sub: fc.constant("user"),
  },
  { requiredKeys: [] },
);

test("accepts the tokens that jose accepts, and no others", async () => {
  const shop = authentication("shop")
    .jwt({ issuer: "id", audiences: ["shop"], secret: { env: "KEY" }, leeway: "10s" })
    .on("products");
  const security = createSecurityQueries({ env: { KEY: SECRET } });
  const other = new TextEncoder().encode("another secret, which the issuer does not have, as long as any");
  await fc.assert(
    fc.asyncProperty(claims, fc.constantFrom("HS256", "HS256", "HS384"), fc.boolean(), async (payload, alg, right) => {
      const runtime = createPolicyRuntime({ wallAt: WALL });
      runtime.applyResources(1, [...route("/").to("products").resources(), ...shop.resources()], METHODS);
      runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: [endpoint("products-1")], removed: [] });
      const key = new TextEncoder().encode(SECRET);
      const signed = JSON.parse(JSON.stringify(payload)) as JWTPayload;
      const token = await new SignJWT(signed).setProtectedHeader({ alg }).sign(right ? key : other);
      const expected = await jwtVerify(token, key, {
        issuer: "id",
        audience: "shop",
        algorithms: ["HS256"],
        requiredClaims: ["exp"],
        clockTolerance: 10,
        currentDate: new Date(WALL),
      }).then(
        () => "",
        () => "TOKEN_INVALID",
      );
      const call = new TestCall(runtime).begin(http("GET", "/", ["authorization", `Bearer ${token}`]));
      if (call.count(Effect.query) > 0) {
        const { queryId, query } = call.call;
        assert.ok(query);
        const answer = await new Promise((resolve) => security.handlers.token(query, resolve));
        call.call.answered(queryId, answer, 0);
        call.drain();
      }
      assert.equal(call.reason, expected);
    }),
    { numRuns: 400 },
  );
  await security.close();
});
