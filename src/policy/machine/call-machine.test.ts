import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rateLimit, route, traffic } from "../builders.ts";
import { type CallRequest, Effect } from "../call.ts";
import { context, endpoint, grpc, http, TestCall, world } from "./call.case.ts";

const GET = "/p.Products/Get";
const OK = ["grpc-status", "0"];
const UNAVAILABLE = ["grpc-status", "14"];

test("a call is forwarded, delivered and ended", () => {
  const call = new TestCall(world()).begin(grpc(GET));
  assert.deepEqual(
    call.seen.map(({ kind }) => kind),
    [Effect.startTimer, Effect.forward],
  );
  call.head(1, 200, [], false);
  assert.equal(call.call.committed, true);
  call.call.trailers(1, OK, 1);
  call.drain();
  assert.deepEqual(
    call.seen.slice(2).map(({ kind }) => kind),
    [Effect.deliver, Effect.cancelTimer, Effect.end],
  );
  assert.equal(call.call.decision.outcome.grpcStatus, 0);
});

test("no route: not found to HTTP callers, unimplemented to gRPC callers", () => {
  const runtime = world({ resources: route("/v1/products").to("products").resources() });
  const call = new TestCall(runtime).begin(http("GET", "/v1/product"));
  assert.equal(call.call.response?.status, 404);
  assert.match(call.call.response?.error?.message ?? "", /the nearest route is \/v1\/products/);
  assert.equal(new TestCall(runtime).begin(grpc("/x.Y/Z")).call.response?.error?.code, "unimplemented");
});

test("C7: a failed connection is retried at once on another endpoint, and the endpoint leaves rotation", () => {
  const runtime = world();
  const call = new TestCall(runtime).begin(grpc(GET)).fail(1).fail(2);
  assert.equal(call.endpoints.length, 3);
  assert.equal(new Set(call.endpoints).size, 3);
  assert.equal(runtime.describe("products", 0).filter(({ ejected }) => ejected).length, 2);
  call.head(3, 200, OK);
  assert.equal(call.reason, "");
  // The two stay out while they are put aside.
  for (let i = 0; i < 20; i++) {
    const next = new TestCall(runtime, 500).begin(grpc(GET));
    assert.equal(next.endpoints[0], call.endpoints[2]);
    next.head(1, 200, OK);
  }
});

test("after it was put aside an endpoint is tried by one call at a time", () => {
  const runtime = world({ endpoints: [endpoint("products-1"), endpoint("products-2")] });
  const first = new TestCall(runtime).begin(grpc(GET)).fail(1);
  const dead = first.endpoints[0];
  first.head(2, 200, OK);
  const calls = Array.from({ length: 40 }, () => new TestCall(runtime, 1_500).begin(grpc(GET)));
  assert.equal(calls.filter(({ endpoints }) => endpoints[0] === dead).length, 1);
});

test("kill -9 of one of three under load: no idempotent call fails", () => {
  const runtime = world();
  const underWay: TestCall[] = [];
  let failed = 0;
  let done = 0;
  for (let now = 0; now < 4_000; now += 5) {
    const dead = now >= 1_000;
    const call = new TestCall(runtime, now);
    call.begin(grpc(GET));
    underWay.push(call);
    for (const open of [...underWay]) {
      open.advance(now - open.now);
      for (;;) {
        const attempt = open.endpoints.length;
        if (open.call.ended || attempt === 0) break;
        const at = open.endpoints[attempt - 1];
        if (dead && at === "products-2") open.fail(attempt, attempt === 1 && now - 1_000 < 50 ? "reset" : "connect");
        else {
          if (now - open.call.decision.startedAt >= 20) open.head(attempt, 200, OK);
          break;
        }
      }
      if (!open.call.ended) continue;
      done++;
      if (open.reason !== "") failed++;
      underWay.splice(underWay.indexOf(open), 1);
    }
  }
  assert.ok(done > 700);
  assert.equal(failed, 0);
});

test("C6: what is not idempotent is retried only when it was certainly not processed", () => {
  const buy = (): TestCall => new TestCall(world()).begin(grpc("/p.Products/Buy"));
  const lost = buy().fail(1, "reset");
  assert.equal(lost.endpoints.length, 1);
  assert.equal(lost.call.response?.error?.code, "unavailable");
  assert.match(lost.call.decision.nearest, /idempotent/);
  assert.equal(buy().fail(1, "refused").endpoints.length, 2);
  const allowed = world({ resources: traffic("products").retry(2, { nonIdempotent: true }).resources() });
  assert.equal(new TestCall(allowed).begin(grpc("/p.Products/Buy")).fail(1, "reset").endpoints.length, 2);
});

test("HTTP: GET is retried on 503 after a back-off, POST is delivered as it is", () => {
  const runtime = world({ resources: route("/").to("products").resources() });
  const call = new TestCall(runtime).begin(http("GET", "/x")).head(1, 503, [], false);
  assert.equal(call.count(Effect.cancel), 1);
  assert.equal(call.endpoints.length, 1);
  call.advance(25).head(2, 200);
  assert.equal(call.count(Effect.deliver), 1);
  const post = new TestCall(runtime).begin(http("POST", "/x")).head(1, 503);
  assert.equal(post.count(Effect.deliver), 1);
  assert.equal(post.call.decision.outcome.status, 503);
});

test("a transcoded GET is idempotent whatever its method's contract says, and matches explicit routes", () => {
  const endpoints = [endpoint("products-1", { version: "v1" }), endpoint("products-2", { version: "v2" })];
  const runtime = world({ resources: route("/v1/products").to({ "products@v2": 1 }).resources(), endpoints });
  const asSent = http("GET", "/v1/products");
  const call = new TestCall(runtime).begin(grpc("/p.Products/Buy"), { service: "products", asSent });
  assert.deepEqual(call.endpoints, ["products-2"]);
  call.fail(1, "reset").advance(25);
  assert.equal(call.endpoints.length, 2);
  assert.deepEqual(runtime.backendsOf(asSent), ["products"]);
});

test("C3: after delivery nothing is retried; the rest is told by abort", () => {
  const call = new TestCall(world()).begin(grpc(GET)).head(1, 200, [], false).fail(1, "reset");
  assert.equal(call.endpoints.length, 1);
  assert.equal(call.count(Effect.abort), 1);
  assert.equal(call.reason, "UPSTREAM_LOST");
});

test("the server's pushback is obeyed", () => {
  const later = new TestCall(world()).begin(grpc(GET)).head(1, 200, [...UNAVAILABLE, "grpc-retry-pushback-ms", "700"]);
  later.advance(699);
  assert.equal(later.endpoints.length, 1);
  assert.equal(later.advance(1).endpoints.length, 2);
  const never = new TestCall(world()).begin(grpc(GET)).head(1, 200, [...UNAVAILABLE, "grpc-retry-pushback-ms", "-1"]);
  assert.equal(never.count(Effect.deliver), 1);
});

test("a caller that retries itself is not retried for", () => {
  const call = new TestCall(world()).begin(grpc(GET), { callerAttempt: 1 }).fail(1);
  assert.equal(call.endpoints.length, 1);
});

test("C10: the deadline is the nearer of the caller's and policy's, and nothing begins after it", () => {
  const runtime = world({ resources: traffic("products").timeout("800ms").resources() });
  const call = new TestCall(runtime).begin(grpc(GET));
  assert.equal(call.call.timeoutMs, 800);
  call.advance(800);
  assert.equal(call.call.response?.error?.code, "deadline_exceeded");
  assert.match(call.call.response?.error?.message ?? "", /800 ms \(TrafficPolicy products\)/);
  assert.equal(call.count(Effect.cancel), 1);
  const near = new TestCall(runtime).begin(grpc(GET), { deadline: 100 });
  assert.equal(near.call.timeoutMs, 100);
  const late = new TestCall(runtime, 50).begin(grpc(GET), { deadline: 40 });
  assert.equal(late.endpoints.length, 0);
  assert.equal(late.reason, "DEADLINE_EXCEEDED");
});

test("streams are not cut off by default, nor answers of unknown length once they began", () => {
  const watch = new TestCall(world()).begin(grpc("/p.Products/Watch"));
  assert.equal(watch.timers.size, 0);
  const runtime = world({ resources: route("/").to("products").resources() });
  const download = new TestCall(runtime).begin(http("GET", "/big"));
  assert.equal(download.timers.size, 1);
  download.head(1, 200, [], false);
  assert.equal(download.timers.size, 0);
  const upload = new TestCall(runtime).begin(http("PUT", "/big"), {}, true);
  assert.equal(upload.timers.size, 0);
  upload.call.requestEnd(5);
  assert.equal(upload.drain().timers.size, 1);
});

test("an attempt over its own time-out is given up and made elsewhere", () => {
  const runtime = world({ resources: traffic("products").timeout("2s", "100ms").resources() });
  const call = new TestCall(runtime).begin(grpc(GET)).advance(130);
  assert.equal(call.count(Effect.cancel), 1);
  assert.equal(call.endpoints.length, 2);
});

test("the request body is sent again from its start, unless it outgrew the buffer", () => {
  const runtime = world({ resources: traffic("products").retry(2, { bufferBytes: 100 }).resources() });
  const small = new TestCall(runtime).begin(grpc(GET), {}, true);
  small.call.requestData(100, 0);
  small.drain().fail(1, "reset");
  assert.deepEqual(
    small.seen.slice(-2).map(({ kind, attempt }) => [kind, attempt]),
    [
      [Effect.forward, 2],
      [Effect.replayBody, 2],
    ],
  );
  const large = new TestCall(runtime).begin(grpc(GET), {}, true);
  large.call.requestData(101, 0);
  assert.equal(large.call.replayable, false);
  assert.equal(large.drain().fail(1, "reset").endpoints.length, 1);
});

test("a breaker that is open answers, a fallback before it", () => {
  const breaker = { consecutiveFailures: 2, sleep: "1s" } as const;
  const policy = traffic("products").retry(0).breaker(breaker);
  const runtime = world({ resources: policy.resources() });
  for (let i = 0; i < 2; i++) new TestCall(runtime).begin(grpc(GET)).head(1, 200, ["grpc-status", "13"]);
  const refused = new TestCall(runtime, 10).begin(grpc(GET));
  assert.equal(refused.reason, "BREAKER_OPEN");
  assert.equal(runtime.describe("products", 0)[0].breaker, "open");
  const probe = new TestCall(runtime, 1_100).begin(grpc(GET));
  assert.equal(probe.endpoints.length, 1);
  assert.equal(new TestCall(runtime, 1_101).begin(grpc(GET)).reason, "BREAKER_OPEN");
  probe.head(1, 200, OK);
  assert.equal(new TestCall(runtime, 1_102).begin(grpc(GET)).endpoints.length, 1);

  const kind = world({ resources: policy.fallback({ status: "accepted", body: { queued: true } }).resources() });
  const client = { place: "client", service: "p.Products" } as const;
  const answered = new TestCall(kind).begin(grpc(GET), client).head(1, 200, ["grpc-status", "13"]);
  assert.equal(answered.call.response?.error, null);
  assert.equal(answered.call.response?.status, 202);
  assert.equal(new TextDecoder().decode(answered.call.response?.body ?? undefined), '{"queued":true}');
});

test("one endpoint's lost connections do not open the breaker of a service that has others", () => {
  const runtime = world({ resources: traffic("products").breaker({ consecutiveFailures: 3 }).resources() });
  for (let now = 0; now < 300; now += 10) {
    const call = new TestCall(runtime, now).begin(grpc(GET));
    if (call.endpoints[0] === "products-1") call.fail(1, "reset").head(2, 200, OK);
    else call.head(1, 200, OK);
  }
  assert.equal(runtime.describe("products", 0)[0].breaker, "closed");
});

test("a rate limit refuses with retry-after, by key, and not in clients", () => {
  const runtime = world({ resources: rateLimit("products").allow(1, "10s").by("address").resources() });
  const ask = (peerAddress: string, place: "gateway" | "client" = "gateway"): TestCall =>
    new TestCall(runtime).begin(grpc(GET), { peerAddress, place, service: "products" });
  assert.equal(ask("10.0.0.1:1").endpoints.length, 1);
  const refused = ask("10.0.0.1:2");
  assert.equal(refused.reason, "RATE_LIMITED");
  assert.deepEqual(refused.call.response?.fields, ["retry-after", "10"]);
  assert.match(refused.call.decision.nearest, /10 s later/);
  assert.equal(ask("10.0.0.2:1").endpoints.length, 1);
  assert.equal(ask("10.0.0.1:3", "client").endpoints.length, 1);
});

test("a shared limit asks first; silence leaves it to the local bucket", () => {
  const runtime = world({ resources: rateLimit("products").allow(1, "10s").shared().resources() });
  const denied = new TestCall(runtime).begin(grpc(GET));
  assert.equal(denied.count(Effect.query), 1);
  assert.equal(denied.endpoints.length, 0);
  denied.call.answered(denied.call.queryId, { allowed: false, waitMs: 5 }, 1);
  assert.equal(denied.drain().reason, "RATE_LIMITED");
  const silent = new TestCall(runtime).begin(grpc(GET)).advance(60);
  assert.equal(silent.endpoints.length, 1);
  const second = new TestCall(runtime, 100).begin(grpc(GET)).advance(60);
  assert.equal(second.reason, "RATE_LIMITED");
});

test("calls split by weight", () => {
  const endpoints = [endpoint("products-1", { version: "v1" }), endpoint("products-2", { version: "v2" })];
  const runtime = world({ resources: route("/").to({ "products@v1": 95, "products@v2": 5 }).resources(), endpoints });
  let v2 = 0;
  for (let i = 0; i < 10_000; i++) {
    const call = new TestCall(runtime).begin(http("GET", "/"));
    if (call.endpoints[0] === "products-2") v2++;
    call.head(1, 200);
  }
  assert.ok(v2 > 400 && v2 < 600, `${v2} of 10000`);
});

test("routes rewrite, change headers, redirect and mirror", () => {
  const resources = [
    ...route("/old")
      .redirect({ path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/new" }, statusCode: 301 })
      .resources(),
    ...route("/api")
      .to("products")
      .rewrite("/")
      .headers({ set: { "X-A": "1" } })
      .responseHeaders({ remove: ["server"] })
      .mirror("products")
      .resources(),
  ];
  const runtime = world({ resources });
  const old = new TestCall(runtime).begin(http("GET", "/old/x?y=1"));
  assert.deepEqual(old.call.response?.fields, ["location", "http://shop/new/x?y=1"]);
  const call = runtime.createCall();
  call.begin(http("GET", "/api/x?y=1"), context(), false, 0);
  assert.equal(call.next(), Effect.mirror);
  assert.equal(call.next(), Effect.startTimer);
  assert.equal(call.next(), Effect.forward);
  assert.equal(call.rewritePath, "/x?y=1");
  assert.deepEqual(call.addFields, ["x-a", "1"]);
  assert.deepEqual(call.removeFields, ["x-a"]);
  assert.equal(call.next(), Effect.none);
  call.head(1, 200, [], true, 1);
  assert.equal(call.next(), Effect.deliver);
  assert.deepEqual(call.removeFields, ["server"]);
});

test("a WebSocket is carried without a time-out after its switch", () => {
  const runtime = world({ resources: route("/").to("products").resources() });
  const upgrade: CallRequest = { ...http("GET", "/ws"), protocol: "websocket" };
  const call = new TestCall(runtime).begin(upgrade, {}, true);
  assert.equal(call.timers.size, 1);
  call.head(1, 101, [], false);
  assert.equal(call.timers.size, 0);
  call.call.carried(10, 20, 1);
  call.call.sessionEnd(2);
  call.drain();
  assert.equal(call.seen.at(-1)?.kind, Effect.end);
});

test("no endpoint: unavailable, and it says what is known", () => {
  const runtime = world({ endpoints: [endpoint("products-1", { health: "unhealthy" })] });
  const call = new TestCall(runtime).begin(grpc(GET));
  assert.equal(call.reason, "NO_HEALTHY_ENDPOINT");
  assert.match(call.call.response?.error?.message ?? "", /1 known endpoints/);
});

test("C1 to C10 hold whatever happens in whatever order", () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 400 }) }),
    fc.record({
      kind: fc.constantFrom("head", "trailers", "data", "failed", "connected"),
      attempt: fc.integer({ min: 0, max: 4 }),
      status: fc.constantFrom(200, 200, 404, 500, 503),
      grpcStatus: fc.constantFrom("0", "14", "5", "x"),
      fin: fc.boolean(),
      failure: fc.constantFrom(
        "connect" as const,
        "reset" as const,
        "refused" as const,
        "protocol" as const,
        "overflow" as const,
      ),
    }),
    fc.record({
      kind: fc.constantFrom("body", "bodyEnd", "gone", "sessionEnd", "answered", "timer"),
      id: fc.integer({ min: 0, max: 8 }),
    }),
  );
  const setting = fc.record({
    attempts: fc.integer({ min: 0, max: 3 }),
    nonIdempotent: fc.boolean(),
    timeout: fc.constantFrom("0s", "300ms", "2s"),
    perTry: fc.constantFrom("0s", "100ms"),
    fallback: fc.boolean(),
    limited: fc.boolean(),
    body: fc.boolean(),
    path: fc.constantFrom(GET, "/p.Products/Buy", "/p.Products/Watch", "/web"),
    seed: fc.integer(),
  });
  fc.assert(
    fc.property(
      setting,
      fc.array(fc.array(event, { maxLength: 14 }), { minLength: 1, maxLength: 6 }),
      (set, histories) => {
        let policy = traffic("products")
          .timeout(set.timeout, set.perTry)
          .retry(set.attempts, { nonIdempotent: set.nonIdempotent, bufferBytes: 50 });
        if (set.fallback) policy = policy.fallback({ body: "later" });
        const limits = set.limited ? rateLimit("products").allow(3, "1s").shared().resources() : [];
        const resources = [...policy.resources(), ...limits, ...route("/web").to("products").resources()];
        const runtime = world({ resources, seed: set.seed });
        let now = 0;
        for (const history of histories) {
          const call = new TestCall(runtime, now);
          const deadline = now + 1_000;
          const request = set.path === "/web" ? http("GET", "/web") : grpc(set.path);
          call.begin(request, { deadline }, set.body);
          for (const step of history) {
            if (step.kind === "wait") call.advance("ms" in step ? step.ms : 0);
            else if ("attempt" in step) {
              // As a shell does, it speaks of attempts that were forwarded.
              const attempt = Math.min(step.attempt, call.endpoints.length);
              const status = set.path === "/web" ? step.status : 200;
              const fields = ["grpc-status", step.grpcStatus];
              if (step.kind === "head") call.head(attempt, status, step.fin ? fields : [], step.fin);
              else if (step.kind === "trailers") call.call.trailers(attempt, fields, call.now);
              else if (step.kind === "data") call.call.responseData(attempt, 10, step.fin, call.now);
              else if (step.kind === "failed") call.fail(attempt, step.failure);
              else call.call.connected(attempt, call.now);
            } else if (step.kind === "body") call.call.requestData(20, call.now);
            else if (step.kind === "bodyEnd") call.call.requestEnd(call.now);
            else if (step.kind === "gone") call.call.downstreamGone(call.now);
            else if (step.kind === "sessionEnd") call.call.sessionEnd(call.now);
            else if (step.kind === "answered") call.call.answered(call.call.queryId, null, call.now);
            else if (step.kind === "timer" && "id" in step) {
              call.timers.delete(step.id);
              call.call.timer(step.id, call.now);
            }
            call.drain();
            check(call, set.attempts, deadline);
          }
          if (!call.call.ended) call.call.downstreamGone(call.now);
          call.drain();
          check(call, set.attempts, deadline);
          assert.equal(call.count(Effect.end), 1); // C1
          assert.equal(call.timers.size, 0); // C9
          JSON.stringify(call.call.decision);
          runtime.release(call.call);
          now = call.now;
          for (const state of runtime.describe("products", 0)) assert.equal(state.inFlight, 0); // C8
        }
      },
    ),
    { numRuns: 400 },
  );
});

function check(call: TestCall, retries: number, deadline: number): void {
  const kinds = call.seen.map(({ kind }) => kind);
  const end = kinds.indexOf(Effect.end);
  assert.ok(end < 0 || end === kinds.length - 1); // C1
  const answers = call.count(Effect.respond) + call.count(Effect.deliver);
  assert.ok(answers <= 1); // C2
  assert.ok(call.count(Effect.abort) <= call.count(Effect.deliver)); // C2
  const delivered = kinds.indexOf(Effect.deliver);
  assert.ok(delivered < 0 || !kinds.includes(Effect.forward, delivered)); // C3
  assert.ok(call.count(Effect.forward) <= 1 + retries); // C5
  const forwarded = new Set<number>();
  const cancelled = new Set<number>();
  for (const { kind, attempt } of call.seen) {
    if (kind === Effect.forward) forwarded.add(attempt);
    if (kind === Effect.deliver || kind === Effect.cancel || kind === Effect.replayBody)
      assert.ok(forwarded.has(attempt)); // C4
    if (kind === Effect.cancel) {
      assert.ok(!cancelled.has(attempt)); // C4
      cancelled.add(attempt);
    }
  }
  for (const { startMs } of call.call.decision.attempts) assert.ok(call.call.decision.startedAt + startMs < deadline); // C10
}
