import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { http } from "../machine/call.case.ts";
import { type HttpSignature, parseSignatures, signatureBase } from "./http-signature.ts";

test("reads and rebuilds the example of RFC 9421, appendix B.2.5", () => {
  const fields = [
    ...["date", "Tue, 20 Apr 2021 02:07:55 GMT", "content-type", "application/json"],
    ...[
      "signature-input",
      'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    ],
    ...["signature", "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"],
  ];
  const request = http("POST", "/foo?param=Value&Pet=dog", fields, "example.com");
  const [signature] = parseSignatures(fields) as HttpSignature[];
  assert.equal(signature.keyId, "test-shared-secret");
  assert.equal(signature.created, 1_618_884_473);
  const base = signatureBase(request, signature) ?? "";
  const secret = Buffer.from(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
    "base64",
  );
  assert.equal(
    createHmac("sha256", secret).update(base).digest("base64"),
    Buffer.from(signature.signature).toString("base64"),
  );
});

test("derived components as RFC 9421 section 2.2 has them", () => {
  const request = {
    ...http("GET", "/path?a=1&b=x%20y", ["x-two", " a", "x-two", "b "], "WWW.Example.com:443"),
    scheme: "https",
  };
  const covers = [
    "@method",
    "@authority",
    "@scheme",
    "@target-uri",
    "@request-target",
    "@path",
    "@query",
    '"@query-param";name="b"',
    "x-two",
  ];
  const base = signatureBase(request, { covers, params: "()" } as unknown as HttpSignature);
  assert.deepEqual(base?.split("\n"), [
    '"@method": GET',
    '"@authority": www.example.com',
    '"@scheme": https',
    '"@target-uri": https://www.example.com/path?a=1&b=x%20y',
    '"@request-target": /path?a=1&b=x%20y',
    '"@path": /path',
    '"@query": ?a=1&b=x%20y',
    '"@query-param";name="b": x%20y',
    '"x-two": a, b',
    '"@signature-params": ()',
  ]);
  assert.equal(signatureBase(request, { covers: ["absent"], params: "" } as unknown as HttpSignature), null);
});

test("malformed fields are refused, and never throw", () => {
  const read = (input: string, signature = "a=:AAAA:"): unknown =>
    parseSignatures(["signature-input", input, "signature", signature]);
  for (const input of [
    'a=("@method" "@method")',
    'a=("@method";sf)',
    "a=(@method)",
    'a=("@method"',
    'b=("@method")',
    'a=("x\\"y")',
    "a=();created=1;created=2",
  ]) {
    assert.equal(typeof read(input), "string", input);
  }
  assert.equal(parseSignatures([]), null);
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), fc.string({ maxLength: 60 }), (input, signature) => {
      read(input, signature);
    }),
  );
});
