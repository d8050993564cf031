import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../../core/errors.ts";
import { checkSystem } from "../check/check-system.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { hostileDocument } from "./any-resource.case.ts";
import { readResourceDocuments } from "./read-resource-documents.ts";
import type { Resource } from "./resources.ts";
import { inspectResources } from "./validate.ts";

test("whatever stands in a document, it is read or refused, in time, and spoils nothing else", () => {
  fc.assert(
    fc.property(fc.array(hostileDocument(), { minLength: 1, maxLength: 3 }), (documents) => {
      const begun = performance.now();
      const { resources, errors } = inspectResources(documents);
      for (const { message } of errors)
        assert.ok(message.length < 250_000, `a message of ${message.length} characters`);
      try {
        createPolicyRuntime().applyResources(1, documents as Resource[], []);
      } catch (thrown) {
        assert.ok(thrown instanceof WeftError, String(thrown instanceof Error ? thrown.stack : thrown));
      }
      if (errors.length === 0) checkSystem(documents);
      assert.equal(({} as Record<string, unknown>).polluted, undefined);
      assert.ok(performance.now() - begun < 2_000, `${performance.now() - begun} ms`);
      return resources !== undefined;
    }),
    { numRuns: 60 },
  );
});

test("what YAML can be made to do is refused in words", () => {
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (let i = 0; i < 9; i++) {
    const name = String.fromCharCode(98 + i);
    bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${String.fromCharCode(97 + i)}`).join(", ")}]`);
  }
  const texts = [
    bomb.join("\n"),
    "a: *nothing",
    "[".repeat(20_000),
    "a: ".repeat(1),
    `${"- ".repeat(9_000)}x`,
    "? ? ? a",
  ];
  for (const text of texts) {
    const begun = performance.now();
    try {
      for (const document of readResourceDocuments(text, "weft.yaml")) inspectResources([document]);
    } catch (thrown) {
      assert.ok(thrown instanceof WeftError && thrown.reason === "INVALID_YAML", String(thrown));
      assert.match(thrown.message, /^weft\.yaml/);
    }
    assert.ok(performance.now() - begun < 2_000);
  }
  const [polluting] = readResourceDocuments("__proto__:\n  polluted: true\nkind: HTTPRoute\n", "weft.yaml");
  inspectResources([polluting]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});
