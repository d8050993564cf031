import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { authorization, rateLimit, route, traffic } from "../builders.ts";
import { endpoint, grpc, http, METHODS, TestCall } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { CallRecorder } from "./call-recorder.ts";
import { Player } from "./player.ts";
import type { RecordedLine } from "./recorded.ts";

interface World {
  readonly resources: readonly Resource[];
  readonly seed: number;
  readonly redact: boolean;
}

/** Calls in a world that changes under them, recorded; lines went through JSON. */
function record({ resources, seed, redact }: World, steps: number): RecordedLine[] {
  const lines: RecordedLine[] = [];
  const random = seededRandom(seed);
  const runtime = createPolicyRuntime({ random: seededRandom(seed + 1) });
  runtime.applyResources(1, resources, METHODS);
  const all = [1, 2, 3, 4].map((n) => endpoint(`products-${n}`, { version: n % 2 === 0 ? "v2" : "v1" }));
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: all, removed: [] });
  let now = 1_000;
  const write = (line: RecordedLine): void => void lines.push(JSON.parse(JSON.stringify(line)));
  const recorder = new CallRecorder({ write, now: () => now, random, salt: "s", redact });
  runtime.record?.(recorder);
  let version = 1;
  const open: TestCall[] = [];
  const pick = (count: number): number => Math.floor(random.next() * count);
  for (let i = 0; i < steps; i++) {
    now += random.next() * 40;
    for (const call of open) call.advance(now - call.now);
    const kind = pick(12);
    if (kind < 4 || open.length === 0) {
      const path = pick(2) === 0 ? "/p.Products/Get" : "/p.Products/Buy";
      const request =
        pick(3) === 0
          ? http("GET", "/v1/x?lane=blue&q=secret", ["x-lane", "blue", "x-user", `user-${pick(3)}`])
          : grpc(path);
      const context = { requestId: `r-${i}`, ...(request.method === "GET" ? {} : { service: "products" }) };
      open.push(new TestCall(runtime, now).begin(request, context));
    } else if (kind === 4) {
      const one = all[pick(4)];
      const away = pick(2) === 0;
      version++;
      runtime.applyEndpoints({
        endpointVersion: version,
        full: false,
        changed: away ? [] : [{ ...one, port: 9_000 + pick(2) }],
        removed: away ? [{ id: one.id, service: one.service }] : [],
      });
    } else if (kind === 5 && pick(4) === 0) runtime.applyResources(version + 1, [...resources].reverse(), METHODS);
    else {
      const call = open[pick(open.length)];
      const attempts = call.endpoints.length;
      const attempt = attempts === 0 ? 0 : 1 + pick(attempts);
      const status = [200, 200, 503, 500][pick(4)];
      if (attempt === 0) call.call.downstreamGone(now);
      else if (pick(4) === 0) call.fail(attempt, (["connect", "reset", "refused"] as const)[pick(3)]);
      else call.head(attempt, status, status === 200 ? ["grpc-status", "0"] : ["retry-after", "1"], true);
      call.drain();
    }
    for (const call of open.filter(({ call }) => call.ended)) {
      open.splice(open.indexOf(call), 1);
      runtime.release(call.call);
    }
  }
  return lines;
}

const WORLDS: readonly (readonly Resource[])[] = [
  [],
  traffic("products").timeout("200ms", "60ms").retry(2).breaker({ consecutiveFailures: 2, sleep: "50ms" }).resources(),
  [
    ...route("/v1").to({ "products@v1": 60, "products@v2": 40 }).resources(),
    ...rateLimit("products").allow(3, "200ms").byHeader("x-user").resources(),
    ...traffic("products").retry(2, { nonIdempotent: true }).limits({ maxInFlight: 6 }).resources(),
  ],
  [
    ...route("/v1").to("products").resources(),
    ...traffic("products")
      .timeout("300ms")
      .retry(1)
      .hedge("20ms", { max: 2 })
      .outlier({ consecutive5xx: 2, interval: "50ms", baseEjectionTime: "100ms", maxEjectionPercent: 50 })
      .breaker({ failureRatio: 0.6, minRequests: 4, sleep: "40ms" })
      .fault({ delay: { mean: "10ms", percent: 30 }, abort: { status: 503, percent: 10 } })
      .concurrency("vegas")
      .fallback({ status: 202 })
      .resources(),
  ],
  [
    ...route("/v1").to("products").resources(),
    ...traffic("products")
      .admission()
      .balancer("ring-hash", { hash: [{ by: "header", name: "x-user" }] })
      .cache()
      .idleTimeout("80ms")
      .resources(),
    ...rateLimit("products").inFlight(3, { queue: 2, maxWait: "30ms" }).resources(),
    ...authorization("products")
      .deny({ headers: [{ name: "x-user", equals: "user-1" }] })
      .allow({})
      .resources(),
  ],
];

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
      fc.constantFrom(...WORLDS),
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
