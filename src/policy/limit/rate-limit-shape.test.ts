import assert from "node:assert/strict";
import { test } from "node:test";
import { rateLimitSpec } from "./rate-limit-shape.ts";

function problems(spec: object): string[] {
  const found: string[] = [];
  rateLimitSpec({ requests: 10, ...spec }, [], (path, message) => found.push(`${path.join(".")} ${message}`));
  return found;
}

test("accepts what can be enforced", () => {
  for (const spec of [
    {},
    { algorithm: "gcra", maxWait: "1s" },
    { algorithm: "concurrency", maxQueue: 5, maxWait: "1s", mode: "shadow" },
    {
      key: [
        { by: "claim", claim: "tenant.id" },
        { by: "path", segment: 2 },
      ],
      exceptions: [{ value: ["a", "b"], requests: 1 }],
    },
    { key: { by: "address", ipv6Prefix: 56 }, hot: { share: 0.1, requests: 5 }, scope: "system" },
    { cost: { fixed: 2, methods: { "a.B/C": 5 }, header: "x-cost", max: 9 }, headers: "legacy", enforcedBy: "both" },
  ])
    assert.deepEqual(problems(spec), []);
});

test("refuses what a limit of its kind cannot act on, and says what to use", () => {
  for (const [spec, expected] of [
    [{ algorithm: "leaky" }, /algorithm must be token-bucket or gcra or sliding-window or concurrency/],
    [{ algorithm: "concurrency", per: "1s" }, /per has no meaning with "concurrency"/],
    [{ algorithm: "concurrency", scope: "system" }, /scope calls in flight are counted by each process/],
    [{ algorithm: "concurrency", maxQueue: 5 }, /maxQueue needs "maxWait"/],
    [{ algorithm: "concurrency", maxWait: "1s" }, /maxWait needs "maxQueue"/],
    [{ algorithm: "sliding-window", burst: 5 }, /burst a sliding window has no burst/],
    [{ maxWait: "1s" }, /maxWait is for "gcra" and "concurrency" only/],
    [{ maxQueue: 1 }, /maxQueue is for "concurrency" only/],
    [{ algorithm: "gcra", maxWait: "1s", scope: "system" }, /maxWait calls wait within their process only/],
    [{ key: { by: "claim" } }, /key "claim" is missing: which one\?/],
    [{ key: { by: "address", header: "x" } }, /key.header is for "by: header" only/],
    [{ key: [] }, /key must have at least 1 element/],
    [{ hot: { share: 0.1, requests: 5 } }, /hot needs a "key"/],
    [{ key: { by: "subject" }, hot: { share: 0.1, requests: 10 } }, /hot its 10 requests are no tighter/],
    [{ exceptions: [{ value: "a", requests: 1 }] }, /exceptions need a "key"/],
    [{ key: { by: "subject" }, exceptions: [{ value: ["a", "b"], requests: 1 }] }, /exceptions need 1 value each/],
    [{ cost: 0 }, /cost must be a whole number from 1/],
    [{ cost: { methods: { nonsense: 1 } } }, /cost.methods.nonsense must be a method/],
    [{ headers: "yes" }, /headers must be true, false or "legacy"/],
    [{ enforcedBy: "nobody" }, /enforcedBy must be/],
  ] as const)
    assert.match(problems(spec).join("\n"), expected);
});

test("says to editors what it accepts", () => {
  const schema = rateLimitSpec.schema as { properties: Record<string, { anyOf?: unknown[]; enum?: unknown[] }> };
  assert.equal(schema.properties.key.anyOf?.length, 2);
  assert.equal(schema.properties.cost.anyOf?.length, 2);
  assert.deepEqual(schema.properties.headers.enum, [true, false, "legacy"]);
});
