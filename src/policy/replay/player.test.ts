import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { route } from "../builders.ts";
import type { Resource } from "../resource/resources.ts";
import { Player } from "./player.ts";
import type { RecordedLine } from "./recorded.ts";
import { CACHED, record, WORLDS } from "./recording.case.ts";

function played(lines: readonly RecordedLine[]): { calls: number; wrong: string[] } {
  const player = new Player();
  const wrong: string[] = [];
  let calls = 0;
  for (const line of lines) {
    if (line.t !== "call") {
      player.state(line);
      continue;
    }
    calls++;
    const result = player.play(line);
    assert.notEqual(result, null);
    assert.deepEqual(JSON.parse(JSON.stringify(result?.decision)), line.decision);
    if (result?.diverged) wrong.push(line.decision.requestId);
  }
  return { calls, wrong };
}

test("under the same policy every recorded call comes out as it did, whatever happens in its world", () => {
  let calls = 0;
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e6 }),
      fc.constantFrom(...WORLDS, CACHED),
      fc.boolean(),
      (seed, resources, redact) => {
        const result = played(record({ resources, seed, redact }, 120));
        calls += result.calls;
        assert.deepEqual(result.wrong, []);
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(calls > 500, String(calls));
});

test("nothing that a caller sent is written down beyond what policy names", () => {
  const text = JSON.stringify(record({ resources: WORLDS[2], seed: 5, redact: true }, 200));
  assert.match(text, /x-user/);
  assert.doesNotMatch(text, /user-[0-9]|secret/);
});

test("a routed header that policy names is found again in a redacted recording", () => {
  const blue = route("/v1").to("products").resources()[0];
  const resources = [
    {
      ...blue,
      spec: {
        ...blue.spec,
        rules: [{ matches: [{ headers: [{ name: "x-lane", value: "blue" }] }], backendRefs: [{ name: "products" }] }],
      },
    } as Resource,
  ];
  const lines = record({ resources, seed: 3, redact: true }, 100);
  assert.ok(lines.some((line) => line.t === "call" && line.decision.route !== "" && line.request.method === "GET"));
  assert.deepEqual(played(lines).wrong, []);
});
