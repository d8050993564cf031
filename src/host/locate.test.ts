import assert from "node:assert/strict";
import { test } from "node:test";
import { codeFrame, locateInSource, locateInYaml } from "./locate.ts";

const source = `import { defineSystem, route } from "weftmesh/system";
// services: { users: {} }
const more = { orders: { replicas: 1 } };

export default defineSystem({
  name: \`sh\${{ a: "}" }.a}op\`,
  services: {
    ...more,
    users: { run: "users/main.ts", needs: ["stock", "pay ment"] },
    "pro-ducts": {
      versions: { v1: { replicas: 2 } }, // not here: replicas: 3
    },
    shared,
  },
  routes: [route("/v1/{a}").to("users"), { kind: "HTTPRoute", spec: { rules: [] } }],
});
`;

test("a field of a literal is found by its path", () => {
  const locate = locateInSource(source);
  assert.deepEqual(locate(["name"]), { line: 6, column: 3 });
  assert.deepEqual(locate(["services", "users", "needs", 1]), { line: 9, column: 53 });
  assert.deepEqual(locate(["services", "pro-ducts", "versions", "v1", "replicas"]), { line: 11, column: 25 });
  assert.deepEqual(locate(["services", "shared"]), { line: 13, column: 5 });
  assert.deepEqual(locate(["routes", 1, "spec", "rules"]), { line: 15, column: 71 });
});

test("what is not written as a literal is found at its nearest ancestor", () => {
  const locate = locateInSource(source);
  assert.deepEqual(locate(["services", "orders", "replicas"]), { line: 7, column: 3 });
  assert.deepEqual(locate(["routes", 0, "spec", "rules"]), { line: 15, column: 12 });
  assert.deepEqual(locate(["gateway", "listen"]), { line: 5, column: 29 });
  assert.equal(locateInSource("export default makeSystem();")(["name"]), null);
});

test("any text is read without failing", () => {
  for (const text of [
    "",
    "defineSystem({",
    "export default { a: `${",
    "export default {{{",
    "defineSystem({ a: [1, { b: '",
    "))]]}}",
  ]) {
    assert.doesNotThrow(() => locateInSource(text)(["a", 1, "b"]));
    assert.doesNotThrow(() => locateInYaml(text)(["a", 1, "b"]));
  }
});

test("a field of YAML is found by its path", () => {
  const locate = locateInYaml("name: shop\nservices:\n  users:\n    run: a.ts\n    needs: [x, y]\n");
  assert.deepEqual(locate(["name"]), { line: 1, column: 1 });
  assert.deepEqual(locate(["services", "users", "needs", 1]), { line: 5, column: 16 });
  assert.deepEqual(locate(["services", "users", "runs"]), { line: 3, column: 3 });
});

test("a code frame points at the place", () => {
  assert.equal(codeFrame("a\nbcd\ne", 2, 3), "  1 | a\n> 2 | bcd\n    |   ^\n  3 | e");
});
