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
  for (const path of ["/", "/.well-known/x", "/a/...", "/a%2Fb", "/a..b", "/a%20b", "/a%", "*", ""])
    assert.equal(normalPath(path), path);
});

test("all spellings of a path are one: unreserved characters are decoded, slashes merged", () => {
  for (const path of [
    "/%61dmin/x",
    "//admin/x",
    "/admin//x",
    "/%2561dmin/../admin/x",
    "/a//..//admin/x",
    "/%2E/%61dmin/%78",
  ])
    assert.equal(normalPath(path), "/admin/x", path);
  assert.equal(normalPath("//"), "/");
  fc.assert(
    fc.property(fc.array(fc.constantFrom("/", "//", "a", "%61", ".", "..", "%2e", "%2F")), (parts) => {
      const once = normalPath(`/${parts.join("")}`);
      assert.ok(once.startsWith("/") && !once.includes("//"));
      assert.ok(!/%(61|2e)/i.test(once), once);
      assert.equal(normalPath(once), once);
    }),
  );
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
