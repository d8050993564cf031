import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hostPattern, pathPattern, textPattern } from "./pattern.ts";

test("matches as a regular expression of the same meaning does", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "/", "*", "."), maxLength: 8 });
  const values = fc.string({ unit: fc.constantFrom("a", "b", "/", "."), maxLength: 12 });
  fc.assert(
    fc.property(letters, values, (text, value) => {
      const body = text
        .split("*")
        .map((part) => part.replace(/[./]/g, "\\$&"))
        .join(".*");
      const expected = new RegExp(`^${body}$`, "s").test(value) && !(text === "*" && value === "");
      assert.equal(textPattern(text).test(value), expected, `${text} on ${value}`);
    }),
    { numRuns: 2_000 },
  );
});

test("takes time linear in the value, whatever the pattern", () => {
  const pattern = textPattern("*a*a*a*a*a*a*a*a*a*b*c");
  const started = process.cpuUsage();
  assert.equal(pattern.test("a".repeat(100_000)), false);
  assert.ok(process.cpuUsage(started).user < 500_000);
});

test("a path with /* at its end also stands for itself, and hosts have no case", () => {
  const path = pathPattern("/v1/*");
  assert.deepEqual(
    ["/v1", "/v1/", "/v1/a/b", "/v10", "/v"].map((value) => path.test(value)),
    [true, true, true, false, false],
  );
  assert.ok(pathPattern("/*").test("/"));
  assert.ok(hostPattern("*.Shop.example").test("a.shop.example"));
  assert.ok(!hostPattern("*.shop.example").test("shop.example"));
});
