import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { http, TestCall, world } from "../machine/call.case.ts";
import { route } from "../resource/route-builder.ts";
import { parseResources } from "../resource/validate.ts";
import { authentication } from "./authentication-builder.ts";
import { authorization } from "./authorization-builder.ts";

const keys = (name: string, role: string) => ({
  consumers: [{ name, sha256: createHash("sha256").update(`key-of-${name}`).digest("hex"), claims: { role } }],
});

test("a route requires a provider, and claims", () => {
  const resources = [
    ...authentication("shop").apiKey(keys("ali", "buyer")).apiKey(keys("bob", "guest"), { name: "guests" }).resources(),
    ...route("/open").to("products").resources(),
    ...route("/orders").to("products").require("api-key:shop").resources(),
    ...route("/both").to("products").require("api-key:shop").require("api-key:guests").resources(),
    ...route("/buyers")
      .to("products")
      .require("api-key:shop", { role: ["buyer", "owner"] })
      .resources(),
    ...route("/owners").to("products").require("api-key:shop", { role: "owner" }).resources(),
  ];
  const runtime = world({ resources });
  const reason = (path: string, key = ""): string => {
    const call = new TestCall(runtime).begin(http("GET", path, key === "" ? [] : ["x-api-key", key]));
    return call.reason || "ok";
  };
  assert.equal(reason("/open"), "ok");
  assert.equal(reason("/open", "key-of-ali"), "ok");
  assert.equal(reason("/open", "guess"), "TOKEN_INVALID"); // what is shown is checked
  assert.equal(reason("/orders"), "AUTHENTICATION_REQUIRED");
  assert.equal(reason("/orders", "key-of-ali"), "ok");
  assert.equal(reason("/orders", "key-of-bob"), "TOKEN_INVALID");
  assert.equal(reason("/both", "key-of-bob"), "ok");
  assert.equal(reason("/buyers", "key-of-ali"), "ok");
  assert.equal(reason("/owners", "key-of-ali"), "FORBIDDEN");
});

test("the most specific level at which an Authentication is attached holds alone", () => {
  const resources = [
    ...authentication("all").apiKey(keys("ali", "buyer")).on("*").resources(),
    ...authentication("hooks").apiKey(keys("bob", "hook")).on("products").resources(),
    ...route("/").to("products").resources(),
    ...route("/other").to("orders").resources(),
  ];
  const runtime = world({ resources });
  const reason = (path: string, key: string): string =>
    new TestCall(runtime).begin(http("GET", path, ["x-api-key", key])).reason;
  assert.equal(reason("/", "key-of-bob"), "");
  assert.equal(reason("/", "key-of-ali"), "TOKEN_INVALID");
  assert.equal(reason("/other", "key-of-bob"), "TOKEN_INVALID");
});

test("a route that splits between services asks for what each of them wants", () => {
  const resources = [
    ...authentication("all").apiKey(keys("ali", "buyer")).on("*").resources(),
    ...authentication("open").apiKey(keys("bob", "hook")).on("products").optional().resources(),
    ...route("/").to({ products: 50, orders: 50 }).resources(),
    ...route("/products").to("products").resources(),
  ];
  const runtime = world({ resources, endpoints: undefined });
  const reason = (path: string, fields: string[] = []): string =>
    new TestCall(runtime).begin(http("GET", path, fields)).reason;
  assert.equal(reason("/products"), "");
  assert.equal(reason("/"), "AUTHENTICATION_REQUIRED");
  assert.equal(reason("/", ["x-api-key", "key-of-bob"]), "TOKEN_INVALID");
});

test("resources are refused with what is wrong in them, and without the secret that stands there by mistake", () => {
  const problems = (...documents: unknown[]): string => {
    try {
      parseResources(documents);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  const of = (provider: object, kind = "Authentication"): unknown => ({
    apiVersion: "weftmesh.dev/v1",
    kind,
    metadata: { name: "shop" },
    spec: { providers: [provider] },
  });
  const jwks = { url: "https://id.example/keys" };
  const issuer = "https://id.example";
  const cases: [object, RegExp][] = [
    [{}, /exactly one of jwt, apiKey, hmac, basic, mtls, oidc, use/],
    [{ jwt: { issuer } }, /exactly one of jwks, secret/],
    [{ jwt: { issuer, jwks, algorithms: ["none"] } }, /algorithms\[0\]: unsigned tokens are never accepted/],
    [
      { jwt: { issuer, jwks, algorithms: ["HS256"] } },
      /HS256 needs `secret`: with public keys anyone could make such tokens/,
    ],
    [
      { jwt: { issuer, secret: "hunter2" } },
      /secret: a secret does not belong into a resource; write { env: NAME } or { file: PATH }/,
    ],
    [{ jwt: { issuer, jwks: { inline: { keys: [{ kty: "oct", k: "hunter2" }] } } } }, /is a shared secret/],
    [{ jwt: { issuer, jwks: { inline: { keys: [{ kty: "EC", d: "hunter2" }] } } } }, /is a private key/],
    [{ jwt: { issuer, jwks: { inline: { keys: [{ kty: "EC", crv: "P-256", y: "AQ" }] } } } }, /has no x, which a key/],
    [{ jwt: { issuer, jwks: { inline: { keys: [{ kty: "RSA", e: "AQAB" }] } } } }, /has no n, which a key/],
    [{ apiKey: { consumers: [{ name: "a", sha256: "hunter2" }] } }, /must be a SHA-256 in hex/],
    [{ basic: { users: [{ name: "a", password: "hunter2" }] } }, /not the password itself/],
    [{ jwt: { issuer, jwks, from: [{ query: "t" }] }, forwardToken: false }, /cannot be taken out/],
    [{ jwt: { issuer, jwks }, claimHeaders: [{ claim: "sub", header: "Host" }] }, /a field of the protocol's own/],
    [{ oidc: { issuer, clientId: "x", cookieKeys: ["hunter2"] } }, /cookieKeys\[0\]: a secret does not belong/],
    [{ use: "jwt:bank" }, /there is no provider jwt:bank/],
  ];
  for (const [provider, wanted] of cases) {
    const text = problems(of(provider));
    assert.match(text, wanted);
    assert.ok(!text.includes("hunter2"), text);
  }
  const rule = (spec: object): string =>
    problems({ apiVersion: "weftmesh.dev/v1", kind: "Authorization", metadata: { name: "a" }, spec });
  assert.match(rule({ rules: [{ action: "permit" }] }), /must be allow or deny or audit or external/);
  assert.match(rule({ rules: [{ action: "allow", networks: ["10.0.0.0/40"] }] }), /networks\[0\]: must be a network/);
  assert.match(rule({ rules: [{ action: "external" }] }), /whom to ask/);
  assert.match(rule({ rules: [{ action: "allow", authenticatedBy: ["jwt:bank"] }] }), /there is no provider jwt:bank/);
  assert.match(rule({}), /says nothing/);
  assert.match(
    rule({ targetRefs: [{ kind: "Service", name: "a@v1" }], default: "deny" }),
    /before a version is chosen/,
  );
  assert.match(rule({ rules: [{ action: "allow", principal: [] }] }), /unknown field/);
});

test("a login that could not come back is told, and one that can is not", () => {
  const web = authentication("web").oidc({ issuer: "https://id.example", clientId: "x", cookieKeys: [{ env: "KEY" }] });
  const warnings = (...builders: { resources(): readonly unknown[] }[]): string =>
    parseResources(builders.flatMap((builder) => builder.resources()))
      .warnings.map(({ message }) => message)
      .join();
  const told = /no route for which oidc:web holds takes \/oauth2\/callback: logins would not come back/;
  assert.match(warnings(web, route("/account").to("shop").require("oidc:web")), told);
  assert.match(warnings(web.on("shop"), route("/").to("other")), told);
  assert.equal(warnings(web, route("/").to("shop"), route("/account").to("shop").require("oidc:web")), "");
  assert.equal(warnings(web.on("shop"), route("/oauth2").to("shop")), "");
});

test("builders leave what they were made of as it was", () => {
  const base = authorization("orders").allow({ peers: ["spiffe://shop/a"] });
  base.deny({ paths: ["/x"] });
  assert.equal((base.resources()[0].spec as { rules: unknown[] }).rules.length, 1);
  const shop = authentication("shop").mtls();
  shop.on("orders");
  assert.equal((shop.resources()[0].spec as { optional?: boolean }).optional, true);
});
