import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { rateLimit, route, traffic } from "../builders.ts";
import { endpoint, http, METHODS, TestCall } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { CallRecorder } from "./call-recorder.ts";
import type { RecordedLine } from "./recorded.ts";
import { record, WORLDS } from "./recording.case.ts";
import { replayReport } from "./report.ts";

const ROUTES = route("/v1").to({ "products@v1": 50, "products@v2": 50 }).resources();

/** 200 calls, 20 ms apart, that take 5 to 45 ms; every tenth attempt at products-3 fails. */
function recording(resources: readonly Resource[]): RecordedLine[] {
  const lines: RecordedLine[] = [];
  let now = 0;
  const runtime = createPolicyRuntime({ random: seededRandom(2) });
  runtime.applyResources(1, resources, METHODS);
  const changed = [1, 2, 3, 4].map((n) => endpoint(`products-${n}`, { version: n % 2 === 0 ? "v2" : "v1" }));
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const write = (line: RecordedLine): void => void lines.push(JSON.parse(JSON.stringify(line)));
  runtime.record(new CallRecorder({ write, now: () => now, random: seededRandom(3), salt: "s" }));
  const random = seededRandom(4);
  let flaky = 0;
  for (let i = 0; i < 200; i++) {
    now = i * 20;
    const request = http("GET", "/v1/x", ["x-user", `user-${i % 4}`]);
    const call = new TestCall(runtime, now).begin(request, { requestId: `r-${i}` });
    for (let attempt = 1; !call.call.ended && attempt < 5; attempt++) {
      call.advance(5 + random.next() * 10);
      const fails = call.endpoints[attempt - 1] === "products-3" && flaky++ % 10 === 0;
      call.head(attempt, fails ? 503 : 200, [], true).advance(30);
    }
    runtime.release(call.call);
  }
  return lines;
}

const LINES = recording(ROUTES);

test("under the recorded policy nothing flips, nothing is guessed and every endpoint has its load", () => {
  const { calls, identical, proposal } = replayReport(LINES, ROUTES);
  assert.equal(calls, 200);
  assert.equal(identical, 200);
  assert.deepEqual(proposal?.flips, []);
  assert.equal(proposal?.guessed, 0);
  for (const { before, after } of proposal?.endpoints ?? []) assert.equal(after, before);
});

test("a new limit denies what it would deny, by name, with examples, as an estimate", () => {
  const proposed = [
    ...ROUTES,
    ...rateLimit("products").allow(2, "1s").byHeader("x-user").named("per-user").resources(),
  ];
  const { proposal } = replayReport(LINES, proposed);
  const [denied] = proposal?.flips ?? [];
  assert.equal(denied.kind, "denied");
  // 50 calls a second of 4 users, 2 a second each: about 2 + 2 x 4 s of the 50 of each user pass.
  assert.ok(denied.count > 140 && denied.count < 180, String(denied.count));
  assert.equal(denied.estimated, denied.count);
  assert.equal(denied.examples.length, 10);
  assert.match(denied.examples[0].after, /^429 RATE_LIMITED/);
  assert.equal(denied.examples[0].by, "limit (RateLimit per-user)");
  assert.deepEqual(
    proposal?.rejections.map(({ rule, before, after }) => [rule, before, after]),
    [["limit (RateLimit per-user)", 0, denied.count]],
  );
  const load = (which: "before" | "after") => (proposal?.endpoints ?? []).reduce((sum, one) => sum + one[which], 0);
  assert.ok(load("after") < load("before") / 2);
});

test("other weights move calls to another backend with the draw that they had, and their answers are estimated", () => {
  const proposed = route("/v1").to({ "products@v1": 75, "products@v2": 25 }).resources();
  const { proposal } = replayReport(LINES, proposed);
  const [moved] = proposal?.flips ?? [];
  assert.equal(moved.kind, "backend");
  assert.ok(moved.count > 30 && moved.count < 70, String(moved.count)); // a quarter of the calls, none the other way
  assert.equal(moved.estimated, moved.count);
  const after = (id: string) => proposal?.endpoints.find(({ endpoint }) => endpoint === id);
  assert.ok((after("products-2")?.after ?? 0) < (after("products-2")?.before ?? 0));
});

test("what takes longer than a new time-out fails; a route that is gone denies without an estimate", () => {
  const strict = [...ROUTES, ...traffic("products").timeout("10ms").retry(0).resources()];
  const [failed] = replayReport(LINES, strict).proposal?.flips ?? [];
  assert.equal(failed.kind, "failed");
  assert.ok(failed.count > 60 && failed.count < 140, String(failed.count));
  assert.match(failed.examples[0].after, /^504 DEADLINE_EXCEEDED/);
  const [gone] = replayReport(LINES, route("/v2").to("products").resources()).proposal?.flips ?? [];
  assert.deepEqual([gone.kind, gone.count, gone.estimated], ["denied", 200, 0]);
  assert.equal(gone.examples[0].by, "route");
});

test("fewer retries let calls fail that were retried", () => {
  const none = [...ROUTES, ...traffic("products").retry(0).resources()];
  const flips = replayReport(LINES, none).proposal?.flips ?? [];
  assert.deepEqual(
    flips.map(({ kind }) => kind),
    ["failed"],
  );
  assert.ok(flips[0].count >= 2);
});

test("under the recorded policy hardly a call of a busy world comes out otherwise in simulation", () => {
  for (const [i, resources] of WORLDS.entries()) {
    const all = { calls: 0, flips: 0, sure: 0 };
    for (let seed = 1; seed <= 8; seed++) {
      const lines = record({ resources, seed: 100 * i + seed, redact: true }, 150, true);
      const { calls, proposal } = replayReport(lines, resources);
      all.calls += calls;
      for (const { count, estimated } of proposal?.flips ?? []) {
        all.flips += count;
        all.sure += count - estimated;
      }
    }
    assert.equal(all.sure, 0, `world ${i}: ${JSON.stringify(all)}`);
    assert.ok(all.flips < 0.1 * all.calls, `world ${i}: ${JSON.stringify(all)}`);
  }
});
