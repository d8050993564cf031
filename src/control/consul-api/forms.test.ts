import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeTags, encodeTags } from "../../core/endpoint-tags.ts";
import { endpointOf } from "../../registry/registry.case.ts";
import type { CheckDefinition } from "./check-definition.ts";
import { formatGoDuration, parseGoDuration } from "./go-duration.ts";
import { encodeMark, MARK_METADATA, markOf } from "./mark.ts";

test("tags come back as they were, whatever is in them", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[,\\a]{1,5}$/)), { maxLength: 5 }),
      (tags) => {
        assert.deepEqual(decodeTags(encodeTags(tags)), tags);
      },
    ),
  );
});

test("durations are read as Go writes them", () => {
  const cases: [unknown, number | null][] = [
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["250ms", 250],
    ["0s", 0],
    [15_000_000_000, 15_000],
    ["10", null],
    ["-1s", null],
    ["", null],
    ["1s ", null],
    [Number.NaN, null],
    [null, null],
  ];
  for (const [written, ms] of cases) assert.equal(parseGoDuration(written), ms, String(written));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e8 }), (ms) =>
      assert.ok(Math.abs((parseGoDuration(formatGoDuration(ms)) ?? -1) - ms) < 1e-3),
    ),
  );
});

test("a mark comes back as it was, and what somebody else wrote is none", () => {
  const check: fc.Arbitrary<CheckDefinition> = fc
    .record({
      id: fc.string({ minLength: 1 }),
      name: fc.string(),
      kind: fc.constantFrom("ttl" as const, "http" as const, "tcp" as const, "grpc" as const),
      ttlMs: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
      reapMs: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
      notes: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
    })
    .map(({ ttlMs, reapMs, notes, ...rest }) => ({
      ...rest,
      ...(ttlMs !== undefined && { ttlMs }),
      ...(reapMs !== undefined && { reapMs }),
      ...(notes !== undefined && { notes }),
    }));
  const marked = (text: string) => markOf(endpointOf("alpha", 1, { metadata: { [MARK_METADATA]: text } }));
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.array(check, { maxLength: 4 }), (serviceId, node, checks) => {
      assert.deepEqual(marked(encodeMark({ serviceId, node, checks })), { serviceId, node, checks });
    }),
  );
  for (const text of [
    "",
    "1",
    "null",
    "[]",
    "{}",
    '{"id":1}',
    '{"id":"a","checks":[[]]}',
    '{"id":"a","checks":[["a","b","odd"]]}',
    '{"id":"a","node":[]}',
  ])
    assert.equal(marked(text), null, text);
  fc.assert(fc.property(fc.json(), (text) => void marked(text)));
  assert.equal(markOf(endpointOf("alpha", 1)), null);
});
