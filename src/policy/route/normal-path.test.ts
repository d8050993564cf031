import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { normalPath } from "./normal-path.ts";

test("dot segments are resolved, encoded ones too; other paths stay as they are", () => {
  assert.equal(normalPath("/public/../admin"), "/admin");
  assert.equal(normalPath("/public/%2E%2e/admin/x"), "/admin/x");
  assert.equal(normalPath("/a/./b/."), "/a/b/");
  assert.equal(normalPath("/../../a"), "/a");
  assert.equal(normalPath("/a/.."), "/");
  for (const path of ["/", "/.well-known/x", "/a/...", "/a%2Fb", "/a..b", "/x%2ey", "*", ""])
    assert.equal(normalPath(path), path);
});

test("agrees with URL parsers", () => {
  const segment = fc.constantFrom("a", "b", ".", "..", "%2e", ".%2E", "c.d");
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), (segments) => {
      const path = `/${segments.join("/")}`;
      assert.equal(normalPath(path), new URL(`http://a${path}`).pathname);
    }),
  );
});
