import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { route, type TrafficBuilder, traffic } from "../builders.ts";
import { type CallRequest, Effect } from "../call.ts";
import { explainDecision } from "../decision/explain.ts";
import type { PolicyRuntime } from "../runtime.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import type { Attempt } from "./attempt.ts";
import { endpoint, grpc, http, METHODS, TestCall, world } from "./call.case.ts";

const GET = "/p.Products/Get";
const OK = ["grpc-status", "0"];
const UNAVAILABLE = ["grpc-status", "14"];

function under(...policies: TrafficBuilder[]): PolicyRuntime {
  const products = ["products-1", "products-2", "products-3"].map((id) => endpoint(id));
  return world({
    resources: policies.flatMap((policy) => policy.resources()),
    endpoints: [...products, { ...endpoint("standby-1"), service: "standby" }],
  });
}

const bodyOf = (call: TestCall): string => new TextDecoder().decode(call.call.response?.body ?? undefined);

// --- time-outs ------------------------------------------------------------------------------------------------------

test("a stream that falls silent is ended; bytes either way keep it", () => {
  const runtime = under(traffic("products").idleTimeout("1s"));
  const call = new TestCall(runtime).begin(grpc("/p.Products/Watch"), {}, true).head(1, 200, [], false);
  for (let i = 0; i < 5; i++) {
    call.advance(900);
    if (i % 2 === 0) call.call.responseData(1, 10, false, call.now);
    else call.call.requestData(10, call.now);
    call.drain();
  }
  assert.equal(call.call.ended, false);
  call.advance(999);
  assert.equal(call.call.ended, false);
  call.advance(2);
  assert.equal(call.reason, "IDLE_TIMEOUT");
  assert.equal(call.count(Effect.abort), 1);
  assert.equal(call.timers.size, 0);
  assert.match(explainDecision(call.call.decision), /idle {7}no byte either way for 1 s/);
});

test("a session that falls silent is ended, one that carries bytes is not", () => {
  const resources = [...route("/").to("products").resources(), ...traffic("products").idleTimeout("1s").resources()];
  const upgrade: CallRequest = { ...http("GET", "/ws"), protocol: "websocket" };
  const call = new TestCall(world({ resources })).begin(upgrade, {}, true).head(1, 101, [], false);
  call.advance(800).call.carried(100, 0, 800);
  call.advance(900);
  assert.equal(call.call.ended, false);
  assert.equal(call.advance(101).reason, "IDLE_TIMEOUT");
});

test("a back-off that is longer than the idle time-out does not wake the call over and over", () => {
  const resources = traffic("products")
    .timeout("10s")
    .idleTimeout("80ms")
    .retry(1, { on: ["503"] });
  const call = new TestCall(under(resources)).begin(http("GET", "/"), { service: "products", place: "client" });
  call.head(1, 503, ["retry-after", "1"]);
  const started = call.count(Effect.startTimer);
  call.advance(990);
  assert.ok(call.count(Effect.startTimer) - started <= 13, String(call.count(Effect.startTimer) - started));
  call.advance(20);
  assert.equal(call.endpoints.length, 2);
});

test("an attempt of which nothing is heard is made elsewhere", () => {
  const call = new TestCall(under(traffic("products").idleTimeout("200ms"))).begin(grpc(GET)).advance(200);
  assert.equal(call.count(Effect.cancel), 1);
  assert.equal(call.advance(30).endpoints.length, 2);
  call.head(2, 200, OK);
  assert.equal(call.reason, "");
  assert.equal(call.timers.size, 0);
});

// --- retries --------------------------------------------------------------------------------------------------------

test("retry-after as a date, and the headers that policy names", () => {
  const wallAt = Date.UTC(2026, 0, 1);
  const ask = (fields: string[], policy = traffic("products").retry(2)): TestCall => {
    const runtime = createPolicyRuntime({ record: "all", wallAt });
    runtime.applyResources(1, [...route("/").to("products").resources(), ...policy.resources()], METHODS);
    const changed = [endpoint("products-1"), endpoint("products-2")];
    runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
    return new TestCall(runtime).begin(http("GET", "/")).head(1, 503, fields);
  };
  const dated = ask(["retry-after", "Thu, 01 Jan 2026 00:00:02 GMT"]).advance(1_999);
  assert.equal(dated.endpoints.length, 1);
  assert.equal(dated.advance(1).endpoints.length, 2);
  assert.equal(ask(["retry-after", "Thu, 01 Jan 2026 00:01:00 GMT"]).count(Effect.deliver), 1, "longer than 5 s");
  assert.equal(ask(["retry-after", "soon"]).count(Effect.deliver), 1);
  const resetHeaders = [{ name: "X-RateLimit-Reset", format: "unix-timestamp" }] as const;
  const named = traffic("products").retry(2, { backoff: { resetHeaders, maxPushback: "10s" } });
  const reset = ask(["x-ratelimit-reset", String(wallAt / 1000 + 7)], named).advance(6_999);
  assert.equal(reset.endpoints.length, 1);
  assert.equal(reset.advance(1).endpoints.length, 2);
});

test("limits.maxRetries bounds the retries under way, and frees them when calls end", () => {
  const runtime = under(traffic("products").limits({ maxRetries: 1 }));
  const first = new TestCall(runtime).begin(grpc(GET)).fail(1);
  assert.equal(first.endpoints.length, 2);
  const second = new TestCall(runtime).begin(grpc(GET)).fail(1);
  assert.equal(second.endpoints.length, 1);
  assert.match(explainDecision(second.call.decision), /as many retries are under way as limits.maxRetries allows/);
  first.head(2, 200, OK);
  assert.equal(new TestCall(runtime).begin(grpc(GET)).fail(1).advance(50).endpoints.length, 2);
});

test("a dependency that fails 100 % for 30 s at 1,000 calls/s sees at most 20 % + 10/s more attempts", () => {
  const runtime = under(traffic("products").breaker(false));
  let attempts = 0;
  const underWay: TestCall[] = [];
  for (let now = 0; now < 30_000; now++) {
    underWay.push(new TestCall(runtime, now).begin(grpc(GET)));
    for (let i = underWay.length - 1; i >= 0; i--) {
      const call = underWay[i];
      call.advance(now - call.now);
      const last = call.endpoints.length;
      if (call.call.decision.attempts[last - 1].outcome === "") call.head(last, 200, UNAVAILABLE);
      if (!call.call.ended) continue;
      attempts += last;
      runtime.release(call.call);
      underWay.splice(i, 1);
    }
  }
  const calls = 30_000;
  const more = attempts - (calls - underWay.length);
  assert.ok(more <= 0.2 * calls + 10 * 30, `${more} more`);
  assert.ok(more >= 0.19 * calls, `${more}: the budget is used`);
});

test("what stopped retries is said with the state of the budget and the deadline", () => {
  const budget = { ratio: 0, minPerSecond: 2, ttl: "10s" } as const;
  const runtime = under(traffic("products").retry(5, { budget, on: ["reset"] }));
  for (let i = 0; i < 2; i++) new TestCall(runtime).begin(grpc(GET)).fail(1, "reset").head(2, 200, OK);
  const spent = new TestCall(runtime).begin(grpc(GET)).fail(1, "reset");
  assert.match(explainDecision(spent.call.decision), /attempt 2 {2}not made: budget left 0 of 2/);
  const late = new TestCall(under(traffic("products").timeout("100ms")), 0).begin(grpc(GET));
  late.advance(91).head(1, 200, [...UNAVAILABLE, "grpc-retry-pushback-ms", "40"]);
  assert.match(explainDecision(late.call.decision), /attempt 2 {2}not made {2}deadline: 9 ms left, 41 ms needed/);
});

// --- outliers, breakers ---------------------------------------------------------------------------------------------

test("an endpoint that answers 5xx five times in a row gets no calls for 30 s", () => {
  const policy = traffic("products").retry(0).breaker(false).balancer("round-robin");
  const runtime = under(policy.outlier({ maxEjectionPercent: 50 }));
  const turn = (now: number): string => {
    const call = new TestCall(runtime, now).begin(grpc(GET));
    const [at] = call.endpoints;
    call.head(1, 200, at === "products-2" ? ["grpc-status", "13"] : OK);
    if (now === 12) {
      assert.match(explainDecision(call.call.decision), /outlier {4}products-2 [1-5] of 5 failures seen/);
    }
    return at;
  };
  for (let now = 0; now < 15; now++) turn(now);
  assert.equal(runtime.describe("products", 20).filter(({ ejected }) => ejected).length, 1);
  for (let now = 20; now < 29_000; now += 500) assert.notEqual(turn(now), "products-2");
  const after = Array.from({ length: 6 }, (_, i) => turn(31_000 + i));
  assert.ok(after.includes("products-2"));
  const [stats] = [...runtime.stats()];
  assert.deepEqual(stats.ejections, { "consecutive 5xx": 1 });
});

test("an open breaker says what it counted", () => {
  const runtime = under(traffic("products").retry(0).breaker({ minRequests: 4 }));
  for (let i = 0; i < 4; i++) new TestCall(runtime).begin(grpc(GET)).head(1, 200, ["grpc-status", "13"]);
  const refused = new TestCall(runtime, 1_000).begin(grpc(GET));
  const text = explainDecision(refused.call.decision);
  assert.match(text, /breaker .* products is open \(4 failed of 4, 4 failures in a row\); a probe goes in 4 s/);
  const probe = new TestCall(runtime, 6_000).begin(grpc(GET)).head(1, 200, OK);
  assert.match(explainDecision(probe.call.decision), /breaker .* half-open; attempt 1 is its one probe/);
  for (let i = 0; i < 4; i++) new TestCall(runtime, 7_000).begin(grpc(GET)).head(1, 200, ["grpc-status", "13"]);
  const [stats] = [...runtime.stats()];
  assert.equal(stats.breaker, "open");
  assert.equal(stats.breakerOpenings, 2);
});

test("answers that take too long open a breaker that watches for that", () => {
  const breaker = { slowRatio: 0.5, slowCall: "100ms", minRequests: 4 } as const;
  const runtime = under(traffic("products").breaker(breaker));
  for (let i = 0; i < 4; i++) new TestCall(runtime).begin(grpc(GET)).advance(150).head(1, 200, OK);
  assert.equal(new TestCall(runtime, 200).begin(grpc(GET)).reason, "BREAKER_OPEN");
});

// --- fallbacks ------------------------------------------------------------------------------------------------------

test("a stand-by service is asked once, by its own policy, and is no retry", () => {
  const fallback = traffic("products")
    .retry(0)
    .fallback({ service: "standby", body: { stale: true } });
  const runtime = under(fallback, traffic("standby").timeout("1s", "50ms"));
  const client = { place: "client", service: "products" } as const;
  const call = new TestCall(runtime).begin(grpc(GET), client).fail(1, "reset");
  assert.deepEqual(call.endpoints[1], "standby-1");
  call.head(2, 200, OK);
  assert.equal(call.reason, "");
  assert.equal(call.call.decision.fallback, "service");
  assert.match(explainDecision(call.call.decision), /fallback {3}the stand-by standby was asked/);
  for (const service of ["products", "standby"])
    for (const { inFlight } of runtime.describe(service, 0)) assert.equal(inFlight, 0);
  const failsToo = new TestCall(runtime).begin(grpc(GET), client).fail(1, "reset").advance(50);
  assert.equal(failsToo.call.decision.fallback, "static");
  assert.equal(bodyOf(failsToo), '{"stale":true}');
  assert.equal(failsToo.endpoints.length, 2);
});

test("a stand-by service is not asked for what may have been done already, nor past the deadline", () => {
  const runtime = under(traffic("products").retry(0).timeout("1s").fallback({ service: "standby" }));
  const buy = new TestCall(runtime).begin(grpc("/p.Products/Buy")).fail(1, "reset");
  assert.equal(buy.reason, "UPSTREAM_RESET");
  const refused = new TestCall(runtime).begin(grpc("/p.Products/Buy")).fail(1, "refused");
  assert.equal(refused.endpoints.length, 2);
  const late = new TestCall(runtime).begin(grpc(GET)).advance(1_000);
  assert.equal(late.reason, "DEADLINE_EXCEEDED");
});

test("an answer that the conditions name is replaced, others are delivered", () => {
  const runtime = under(
    traffic("products")
      .retry(0)
      .fallback({ service: "standby", on: ["unavailable"] }),
  );
  const named = new TestCall(runtime).begin(grpc(GET)).head(1, 200, UNAVAILABLE);
  assert.equal(named.endpoints[1], "standby-1");
  const other = new TestCall(runtime).begin(grpc(GET)).head(1, 200, ["grpc-status", "5"]);
  assert.equal(other.count(Effect.deliver), 1);
});

test("gRPC callers that are passed through get the gRPC answer, with a message or without", () => {
  const status = { status: "resource_exhausted", message: "later" };
  const refused = new TestCall(under(traffic("products").retry(0).fallback({ grpc: status }))).begin(grpc(GET)).fail(1);
  assert.equal(refused.call.response?.error?.code, "resource_exhausted");
  assert.equal(refused.call.decision.fallback, "static");
  const message = Buffer.from([8, 3]).toString("base64");
  const answered = new TestCall(
    under(
      traffic("products")
        .retry(0)
        .fallback({ grpc: { body: message } }),
    ),
  )
    .begin(grpc(GET))
    .fail(1);
  assert.equal(answered.call.response?.error, null);
  assert.deepEqual([...(answered.call.response?.body ?? [])], [0, 0, 0, 0, 2, 8, 3]);
  const json = new TestCall(under(traffic("products").retry(0).fallback({ body: {} }))).begin(grpc(GET)).fail(1);
  assert.equal(json.reason, "UPSTREAM_CONNECT", "JSON is of no use to it");
});

test("of all calls together never two probe a half-open breaker, whatever is retried and hedged", () => {
  const step = fc.record({
    which: fc.nat(7),
    act: fc.constantFrom("begin", "fail", "lose", "answer", "answer", "gone", "wait"),
    ms: fc.nat(60),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const policy = traffic("products").retry(1).hedge("15ms", { ratio: 1 }).timeout("300ms", "50ms");
      const runtime = under(policy.breaker({ consecutiveFailures: 2, sleep: "40ms" }));
      const calls: (TestCall | null)[] = Array.from({ length: 8 }, () => null);
      let now = 0;
      for (const { which, act, ms } of steps) {
        if (act === "wait") now += ms;
        for (const call of calls) call?.advance(now - call.now);
        const call = calls[which];
        if (call === null || call.call.ended) {
          if (act === "begin") calls[which] = new TestCall(runtime, now).begin(grpc(GET));
        } else if (act === "gone") {
          call.call.downstreamGone(now);
          call.drain();
        } else if (act === "lose") call.fail(call.endpoints.length, "reset");
        else if (act !== "wait") call.head(call.endpoints.length, 200, act === "answer" ? OK : UNAVAILABLE);
        const attempts = calls.flatMap((one) => one?.call.decision.attempts ?? []) as Attempt[];
        assert.ok(attempts.filter(({ live, probe, judged }) => live && probe && !judged).length <= 1);
      }
    }),
    { numRuns: 150 },
  );
});

// --- all of it at once ----------------------------------------------------------------------------------------------

test("C1 to C11 hold with hedges, stand-bys, outliers and silence in any order", () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 150 }) }),
    fc.record({
      kind: fc.constantFrom("head", "trailers", "data", "failed", "connected"),
      attempt: fc.integer({ min: 1, max: 7 }),
      grpcStatus: fc.constantFrom("0", "14", "5", "13"),
      pushback: fc.constantFrom("", "", "-1", "20"),
      fin: fc.boolean(),
      failure: fc.constantFrom("connect" as const, "reset" as const, "refused" as const, "overflow" as const),
    }),
    fc.record({ kind: fc.constantFrom("body", "bodyEnd", "gone", "timer"), id: fc.constantFrom(1, 2, 3, 4, 30, 31) }),
  );
  const setting = fc.record({
    retries: fc.integer({ min: 0, max: 2 }),
    max: fc.integer({ min: 1, max: 4 }),
    onTryTimeout: fc.boolean(),
    nonIdempotent: fc.boolean(),
    perTry: fc.constantFrom("0s", "60ms"),
    idle: fc.constantFrom("0s", "100ms"),
    standby: fc.boolean(),
    fixed: fc.boolean(),
    maxRetries: fc.constantFrom(undefined, 0, 1),
    body: fc.boolean(),
    path: fc.constantFrom(GET, "/p.Products/Buy", "/p.Products/Watch"),
  });
  fc.assert(
    fc.property(
      setting,
      fc.array(fc.array(event, { maxLength: 16 }), { minLength: 1, maxLength: 5 }),
      (set, histories) => {
        const { retries, max, onTryTimeout, nonIdempotent, maxRetries } = set;
        let policy = traffic("products")
          .timeout("600ms", set.perTry)
          .idleTimeout(set.idle)
          .retry(retries, { nonIdempotent, bufferBytes: 60 })
          .hedge("20ms", { ratio: 1, max, onTryTimeout, nonIdempotent })
          .breaker({ consecutiveFailures: 4, sleep: "50ms" })
          .outlier({ consecutive5xx: 2, maxEjectionPercent: 70, baseEjectionTime: "100ms", interval: "200ms" })
          .limits(maxRetries === undefined ? {} : { maxRetries });
        if (set.standby || set.fixed) {
          policy = policy.fallback({
            ...(set.standby ? { service: "standby" } : {}),
            ...(set.fixed ? { grpc: { message: "later" } } : {}),
          });
        }
        const runtime = under(policy, traffic("standby").hedge("10ms", { ratio: 1 }).retry(2));
        let now = 0;
        for (const history of histories) {
          const call = new TestCall(runtime, now).begin(grpc(set.path), { deadline: now + 500 }, set.body);
          for (const step of history) {
            if ("ms" in step) call.advance(step.ms);
            else if ("attempt" in step) {
              const attempt = Math.min(step.attempt, call.endpoints.length);
              const fields = ["grpc-status", step.grpcStatus];
              if (step.pushback !== "") fields.push("grpc-retry-pushback-ms", step.pushback);
              if (step.kind === "head") call.head(attempt, 200, step.fin ? fields : [], step.fin);
              else if (step.kind === "trailers") call.call.trailers(attempt, fields, call.now);
              else if (step.kind === "data") call.call.responseData(attempt, 10, step.fin, call.now);
              else if (step.kind === "failed") call.fail(attempt, step.failure);
              else call.call.connected(attempt, call.now);
            } else if (step.kind === "body") call.call.requestData(25, call.now);
            else if (step.kind === "bodyEnd") call.call.requestEnd(call.now);
            else if (step.kind === "gone") call.call.downstreamGone(call.now);
            else {
              call.timers.delete(step.id);
              call.call.timer(step.id, call.now);
            }
            call.drain();
            check(call, 1 + retries + max + (set.standby ? 1 : 0), now + 500);
          }
          if (!call.call.ended) call.call.downstreamGone(call.now);
          call.drain();
          check(call, 1 + retries + max + (set.standby ? 1 : 0), now + 500);
          assert.equal(call.count(Effect.end), 1); // C1
          assert.equal(call.timers.size, 0); // C9
          explainDecision(call.call.decision);
          JSON.stringify(call.call.decision);
          runtime.release(call.call);
          now = call.now;
          for (const service of ["products", "standby"])
            for (const { inFlight } of runtime.describe(service, 0)) assert.equal(inFlight, 0); // C8
        }
        for (const stats of runtime.stats()) assert.ok(stats.hedges >= stats.hedgesWon);
      },
    ),
    { numRuns: 500 },
  );
});

function check(call: TestCall, most: number, deadline: number): void {
  const kinds = call.seen.map(({ kind }) => kind);
  const end = kinds.indexOf(Effect.end);
  assert.ok(end < 0 || end === kinds.length - 1); // C1
  assert.ok(call.count(Effect.respond) + call.count(Effect.deliver) <= 1); // C2
  const delivered = kinds.indexOf(Effect.deliver);
  assert.ok(delivered < 0 || !kinds.includes(Effect.forward, delivered)); // C3
  assert.ok(call.count(Effect.forward) <= most); // C5
  const { attempts, startedAt } = call.call.decision;
  const open = attempts.filter(({ outcome }) => outcome === "").length;
  if (delivered >= 0) assert.ok(open <= 1); // C11
  if (call.call.ended) assert.equal(open, 0);
  else assert.ok(open > 0 || call.timers.size > 0); // C11
  const cancelled = new Set<number>();
  for (const { kind, attempt } of call.seen) {
    if (kind !== Effect.cancel) continue;
    assert.ok(!cancelled.has(attempt)); // C4
    cancelled.add(attempt);
  }
  for (const { startMs } of attempts) assert.ok(startedAt + startMs < deadline); // C10
}
