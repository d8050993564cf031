import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { rateLimit, route } from "../builders.ts";
import { endpoint, http, METHODS, TestCall } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { CallRecorder } from "./call-recorder.ts";
import { Player } from "./player.ts";
import type { RecordedLine } from "./recorded.ts";
import { CACHED, record, WORLDS } from "./recording.case.ts";
import { replayReport } from "./report.ts";

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

test("calls at a server and sessions are recorded and played, too", () => {
  const lines: RecordedLine[] = [];
  const resources = [
    ...route("/ws").to("products").resources(),
    ...rateLimit("products").allow(2, "1h").at("server").resources(),
  ];
  const runtime = createPolicyRuntime({ random: seededRandom(1) });
  runtime.applyResources(1, resources, METHODS);
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: [endpoint("products-1")], removed: [] });
  const write = (line: RecordedLine): void => void lines.push(JSON.parse(JSON.stringify(line)));
  runtime.record(new CallRecorder({ write, now: () => 0, random: seededRandom(1), salt: "s" }));
  for (let i = 0; i < 4; i++) {
    const at = { place: "server", service: "products", requestId: `s-${i}` } as const;
    const call = new TestCall(runtime, 10 * i).begin(http("GET", "/x"), at).advance(3);
    if (!call.call.ended) call.head(0, 200);
    runtime.release(call.call);
  }
  const session = new TestCall(runtime, 100).begin(
    { ...http("GET", "/ws"), protocol: "websocket" },
    { requestId: "w" },
    true,
  );
  session.advance(2).head(1, 101, [], false).advance(500);
  session.call.carried(100, 200, session.now);
  session.call.sessionEnd(session.now);
  runtime.release(session.drain().call);
  const calls = lines.filter((line) => line.t === "call");
  assert.deepEqual(
    calls.map(({ decision }) => decision.outcome.reason || decision.outcome.status),
    [200, 200, "RATE_LIMITED", "RATE_LIMITED", 101],
  );
  assert.deepEqual(played(lines), { calls: 5, wrong: [] });
  const { proposal } = replayReport(lines, route("/ws").to("products").resources());
  assert.deepEqual(
    proposal?.flips.map(({ kind, count }) => [kind, count]),
    [["allowed", 2]],
  );
});
