import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { type TrafficBuilder, traffic } from "../builders.ts";
import { Effect } from "../call.ts";
import type { PolicyRuntime } from "../runtime.ts";
import { endpoint, grpc, TestCall, world } from "./call.case.ts";

const GET = "/p.Products/Get";
const OK = ["grpc-status", "0"];
const UNAVAILABLE = ["grpc-status", "14"];
const NOT_FOUND = ["grpc-status", "5"];

function hedged(policy: TrafficBuilder): PolicyRuntime {
  return world({ resources: policy.resources() });
}

/** A fixed delay, and a budget that is never short. */
const plain = (options = {}): PolicyRuntime => hedged(traffic("products").hedge("30ms", { ratio: 1, ...options }));

/** Three hedges a call, and a budget with something in it. */
function rich(): PolicyRuntime {
  const runtime = plain({ max: 3 });
  for (let i = 0; i < 5; i++) new TestCall(runtime).begin(grpc(GET)).head(1, 200, OK);
  return runtime;
}

test("after the delay another endpoint is tried as well; the first good answer wins, the other is cancelled", () => {
  const runtime = plain();
  const call = new TestCall(runtime).begin(grpc(GET)).advance(29);
  assert.equal(call.endpoints.length, 1);
  call.advance(1);
  assert.equal(call.endpoints.length, 2);
  assert.notEqual(call.endpoints[0], call.endpoints[1]);
  call.head(2, 200, OK);
  assert.equal(call.reason, "");
  assert.deepEqual(
    call.seen.filter(({ kind }) => kind === Effect.cancel).map(({ attempt }) => attempt),
    [1],
  );
  assert.deepEqual(
    call.call.decision.attempts.map(({ outcome }) => outcome),
    ["cancelled", "ok"],
  );
  assert.equal(call.timers.size, 0);
  for (const { inFlight } of runtime.describe("products", 0)) assert.equal(inFlight, 0);
  const [stats] = [...runtime.stats()];
  assert.equal(stats.hedges, 1);
  assert.equal(stats.hedgesWon, 1);
  assert.match(call.call.decision.steps.find(({ rule }) => rule === "hedge")?.text ?? "", /^attempt 2 beside .* 30 ms/);
});

test("the slow one may still win", () => {
  const call = new TestCall(plain()).begin(grpc(GET)).advance(30).head(1, 200, OK);
  assert.equal(call.seen.filter(({ kind }) => kind === Effect.deliver)[0].attempt, 1);
  assert.equal(call.call.ended, true);
});

test("C11: a failure that is retried waits for the other; one that is not ends the call", () => {
  const waits = new TestCall(plain()).begin(grpc(GET)).advance(30).head(1, 200, UNAVAILABLE);
  assert.equal(waits.call.ended, false);
  waits.fail(2, "reset");
  assert.equal(waits.endpoints.length, 3, "now nothing is under way: a retry");
  const ends = new TestCall(plain()).begin(grpc(GET)).advance(30).head(2, 200, NOT_FOUND);
  assert.equal(ends.call.ended, true);
  assert.equal(ends.call.decision.outcome.grpcStatus, 5);
});

test("a failure makes the next hedge at once, unless the server asks for time or for none", () => {
  const next = new TestCall(rich()).begin(grpc(GET)).advance(30).head(1, 200, UNAVAILABLE);
  assert.equal(next.endpoints.length, 3);
  const asked = [...UNAVAILABLE, "grpc-retry-pushback-ms", "200"];
  const later = new TestCall(rich()).begin(grpc(GET)).advance(30).head(1, 200, asked);
  assert.equal(later.advance(199).endpoints.length, 2);
  assert.equal(later.advance(1).endpoints.length, 3);
  const no = [...UNAVAILABLE, "grpc-retry-pushback-ms", "-1"];
  const never = new TestCall(rich()).begin(grpc(GET)).advance(30).head(1, 200, no).advance(1_000);
  assert.equal(never.endpoints.length, 2);
});

test("no hedge of what is not idempotent, of a caller's retry, or past the budget", () => {
  assert.equal(new TestCall(plain()).begin(grpc("/p.Products/Buy")).advance(100).endpoints.length, 1);
  assert.equal(
    new TestCall(plain({ nonIdempotent: true })).begin(grpc("/p.Products/Buy")).advance(100).endpoints.length,
    2,
  );
  assert.equal(new TestCall(plain()).begin(grpc(GET), { callerAttempt: 2 }).advance(100).endpoints.length, 1);
  const runtime = plain({ ratio: 0.25 });
  const counts = Array.from(
    { length: 8 },
    () => new TestCall(runtime).begin(grpc(GET)).advance(100).head(1, 200, OK).endpoints.length,
  );
  assert.deepEqual(counts, [1, 1, 1, 2, 1, 1, 1, 2]);
});

test("p95: nothing before enough is known, then after what 95 of 100 calls take", () => {
  const runtime = hedged(traffic("products").hedge());
  for (let i = 0; i < 200; i++) {
    const call = new TestCall(runtime, i * 10).begin(grpc(GET));
    if (i < 19) assert.equal(call.timers.size, 1, "the deadline alone");
    call.advance(i % 10 === 0 ? 40 : 5);
    if (!call.call.ended) call.head(1, 200, OK);
  }
  const slow = new TestCall(runtime, 3_000).begin(grpc(GET)).advance(39);
  assert.equal(slow.endpoints.length, 1);
  slow.advance(5);
  assert.equal(slow.endpoints.length, 2);
});

test("an attempt over its time may go on beside its retry", () => {
  const policy = traffic("products").timeout("2s", "100ms");
  const runtime = hedged(policy.hedge("1s", { onTryTimeout: true }));
  const call = new TestCall(runtime).begin(grpc(GET)).advance(100);
  assert.equal(call.endpoints.length, 2);
  assert.equal(call.count(Effect.cancel), 0);
  call.head(1, 200, OK);
  assert.equal(call.reason, "");
  assert.equal(call.count(Effect.cancel), 1);
});

test("an open breaker is not hedged into", () => {
  const policy = traffic("products").retry(0).breaker({ consecutiveFailures: 1, sleep: "1s" });
  const runtime = hedged(policy.hedge("30ms", { ratio: 1 }));
  const slow = new TestCall(runtime).begin(grpc(GET));
  new TestCall(runtime).begin(grpc(GET)).head(1, 200, ["grpc-status", "13"]);
  assert.equal(slow.advance(50).endpoints.length, 1);
  assert.match(
    slow
      .head(1, 200, OK)
      .call.decision.steps.map(({ text }) => text)
      .join("\n"),
    /breaker is not closed/,
  );
});

test("at p95 hedging cuts p99.9 at least 3x for at most 5 % more calls", () => {
  // Log-normal latency (median 10 ms, sigma 0.5), 1 % of the attempts 20 times slower; 1,000 calls/s for 20 s of virtual time.
  const run = (policy: TrafficBuilder): { p999: number; attempts: number } => {
    const runtime = world({
      resources: policy.resources(),
      endpoints: Array.from({ length: 10 }, (_, i) => endpoint(`products-${i}`)),
      seed: 7,
    });
    const random = seededRandom(11);
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
    const latencyMs = (): number => 10 * Math.exp(0.5 * normal()) * (random.next() < 0.01 ? 20 : 1);
    const took: number[] = [];
    let attempts = 0;
    const calls = 20_000;
    const open: { call: TestCall; answers: number[] }[] = [];
    const moveOn = (now: number): void => {
      for (let i = open.length - 1; i >= 0; i--) {
        const { call, answers } = open[i];
        while (!call.call.ended) {
          // The next that happens to it: a timer, or an answer.
          while (answers.length < call.endpoints.length) answers.push(call.now + latencyMs());
          const first = answers.indexOf(Math.min(...answers));
          const timer = Math.min(...call.timers.values());
          if (Math.min(answers[first], timer) > now) break;
          if (timer < answers[first]) call.advance(timer - call.now);
          else {
            call.advance(answers[first] - call.now);
            call.head(first + 1, 200, OK);
          }
        }
        if (!call.call.ended) continue;
        took.push(call.call.decision.durationMs);
        attempts += call.call.decision.attempts.length;
        runtime.release(call.call);
        open.splice(i, 1);
      }
    };
    for (let n = 0; n < calls; n++) {
      moveOn(n);
      open.push({ call: new TestCall(runtime, n).begin(grpc(GET)), answers: [] });
    }
    moveOn(Number.MAX_SAFE_INTEGER);
    took.sort((a, b) => a - b);
    return { p999: took[Math.floor(calls * 0.999)], attempts: attempts / calls };
  };
  const without = run(traffic("products"));
  const withHedge = run(traffic("products").hedge());
  const factor = without.p999 / withHedge.p999;
  assert.ok(factor >= 3, `p99.9 ${without.p999} ms without, ${withHedge.p999} ms with`);
  assert.ok(withHedge.attempts <= 1.05, `${withHedge.attempts} attempts a call`);
});

test("hedges and their budget, whatever happens", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.01, max: 0.5, noNaN: true }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.nat(120), { minLength: 1, maxLength: 80 }),
      (ratio, max, waits) => {
        const runtime = plain({ ratio, max });
        let hedges = 0;
        waits.forEach((wait, i) => {
          const call = new TestCall(runtime, i * 1_000).begin(grpc(GET)).advance(wait);
          call.head(1, 200, OK);
          hedges += call.endpoints.length - 1;
          assert.ok(call.endpoints.length <= 1 + max);
          assert.ok(hedges <= ratio * (i + 1) + 1e-6);
          assert.equal(call.timers.size, 0);
        });
      },
    ),
    { numRuns: 50 },
  );
});
