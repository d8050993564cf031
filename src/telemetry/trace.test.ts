import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../core/random.ts";
import { IdSource, parseTraceParent } from "./trace.ts";

const PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

test("a traceparent is read strictly", () => {
  assert.deepEqual(parseTraceParent(PARENT), {
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    parentId: "00f067aa0ba902b7",
    sampled: true,
  });
  assert.ok(parseTraceParent(`01${PARENT.slice(2)}-what-comes-later`));
  for (const bad of [
    undefined,
    "",
    PARENT.toUpperCase(),
    `${PARENT}-x`,
    `ff${PARENT.slice(2)}`,
    PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0".repeat(32)),
    PARENT.replace("00f067aa0ba902b7", "0".repeat(16)),
  ])
    assert.equal(parseTraceParent(bad), null, String(bad));
});

test("ids do not repeat, and a child keeps its trace and its sampling", () => {
  const ids = new IdSource(seededRandom(3));
  const seen = new Set<string>();
  for (let i = 0; i < 10_000; i++) seen.add(ids.next());
  assert.equal(seen.size, 10_000);
  for (const id of seen) assert.match(id, /^[0-9a-f]{16}$/);
  const child = parseTraceParent(ids.child(parseTraceParent(PARENT.replace(/01$/, "00"))));
  assert.equal(child?.traceId, "4bf92f3577b34da6a3ce929d0e0e4736");
  assert.equal(child?.sampled, false);
  assert.ok(parseTraceParent(ids.child(null)));
});
