import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { claimOf } from "../machine/principal.ts";
import { claimField, matchesClaim } from "./claims.ts";
import { parseToken } from "./jwt.ts";

const part = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

test("tokens are read strictly", () => {
  const read = (header: unknown, claims: unknown = {}): unknown => parseToken(`${part(header)}.${part(claims)}.AA`);
  assert.deepEqual(read({ alg: "ES256", kid: "k", typ: "at+jwt" }, { sub: "a" }), {
    algorithm: "ES256",
    keyId: "k",
    type: "at+jwt",
    claims: { sub: "a" },
  });
  assert.match(String(read({ alg: "ES256", crit: ["b64"], b64: false })), /critical/);
  assert.match(String(read({})), /no algorithm/);
  assert.match(String(read({ alg: "ES256", kid: 7 })), /kid/);
  assert.match(String(read([])), /header is no JSON object/);
  assert.match(String(read({ alg: "ES256" }, "no json")), /claims are no JSON/);
  assert.match(String(parseToken(`${part('{"alg":"ES256"}')}.\u00ff.AA`)), /no signed token/);
  assert.match(String(parseToken("a.b.c.d.e")), /encrypted/);
  assert.match(String(parseToken(`${part(Buffer.from([0x7b, 0xff]).toString("latin1"))}.AA.AA`)), /no JSON object/);
});

test("no text makes the reader throw", () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 5 }), (parts) => void parseToken(parts.map(part).join("."))),
  );
  fc.assert(fc.property(fc.string(), (text) => void parseToken(text)));
});

test("claims are found by their own name first, then by path, and never among what objects inherit", () => {
  const claims = { "https://shop/role": "a", realm: { roles: ["x"] }, "realm.roles": "flat", scope: "read write" };
  assert.equal(claimOf(claims, "https://shop/role"), "a");
  assert.equal(claimOf(claims, "realm.roles"), "flat");
  assert.deepEqual(claimOf({ realm: { roles: ["x"] } }, "realm.roles"), ["x"]);
  for (const name of ["constructor", "__proto__", "realm.constructor", "toString.name"])
    assert.equal(claimOf(claims, name), undefined);
  assert.ok(matchesClaim(claims, { claim: "scope", contains: "read" }));
  assert.ok(!matchesClaim(claims, { claim: "scope", contains: "rea" }));
  assert.ok(matchesClaim({ realm: { roles: ["x"] } }, { claim: "realm.roles", contains: "x" }));
  assert.ok(!matchesClaim({ level: "1" }, { claim: "level", equals: 1 }));
  assert.ok(matchesClaim({ level: 1 }, { claim: "level", in: [1, 2] }));
  assert.ok(matchesClaim({}, { claim: "admin", exists: false }));
});

test("whatever a claim holds, the field made of it is a field", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const field = claimField(value);
      if (field !== null) assert.match(field, /^(|[!-~]([ -~]*[!-~])?)$/);
    }),
  );
  assert.equal(claimField("a\r\nx-admin: 1"), "a%0D%0Ax-admin: 1");
});
