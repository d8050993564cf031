import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rateLimit } from "../builders.ts";
import { type Call, type CallContext, type CallRequest, Effect, type Place } from "../call.ts";
import { explainDecision } from "../decision/explain.ts";
import { grpc, http, TestCall, world } from "../machine/call.case.ts";
import type { PolicyRuntime } from "../runtime.ts";
import type { SharedLimitRequest } from "./shared-limit.ts";

const GET = "/p.Products/Get";

function call(runtime: PolicyRuntime, request: CallRequest, parts: Partial<CallContext> = {}, now = 0): TestCall {
  const made = new TestCall(runtime, now).begin(request, parts);
  if (made.endpoints.length > 0) made.head(1, 200, ["grpc-status", "0"]);
  return made;
}

test("says what is left for whom, and what would have helped", () => {
  const runtime = world({ resources: rateLimit("products").allow(2, "1m").byHeader("x-user").resources() });
  const request = (): CallRequest => ({
    ...grpc(GET),
    fields: ["content-type", "application/grpc", "x-user", "user-9"],
  });
  assert.match(explainDecision(call(runtime, request()).call.decision), /limit +products: 1 of 2\/min left for user-9/);
  call(runtime, request());
  const refused = call(runtime, request());
  assert.equal(refused.reason, "RATE_LIMITED");
  const text = explainDecision(refused.call.decision);
  assert.match(text, /limit +products: over 2\/min for user-9; next in 30 s {2}\(refused\)/);
  assert.match(text, /nearest +would have passed 30 s later, or with a higher rate or burst in RateLimit products/);
});

test("is enforced where it says", () => {
  for (const [enforcedBy, places] of [
    ["gateway", ["gateway"]],
    ["server", ["server"]],
    ["both", ["gateway", "server"]],
    ["client", ["client", "sidecar"]],
  ] as const) {
    for (const place of ["client", "sidecar", "gateway", "server"] as Place[]) {
      const runtime = world({ resources: rateLimit("products").allow(1, "1m").at(enforcedBy).resources() });
      const parts = { place, service: "products" };
      call(runtime, grpc(GET), parts);
      const second = call(runtime, grpc(GET), parts);
      const limited = (places as readonly Place[]).includes(place);
      assert.equal(second.reason === "RATE_LIMITED", limited, `${enforcedBy} at ${place}`);
    }
  }
});

test("a call that an authenticated gateway counted is not counted again; nobody else is believed", () => {
  const resources = rateLimit("products").allow(1, "1m").at("both").resources();
  const gateway = new TestCall(world({ resources })).begin(grpc(GET));
  assert.deepEqual(gateway.call.addFields, ["x-weft-limited", "products"]);
  const told: CallRequest = {
    ...grpc(GET),
    fields: ["content-type", "application/grpc", "x-weft-limited", "products"],
  };
  const server = world({ resources });
  const at = { place: "server", service: "products" } as const;
  for (let i = 0; i < 3; i++) {
    assert.equal(new TestCall(server).begin(told, { ...at, peerIdentity: "spiffe://shop/gateway" }).reason, "");
  }
  new TestCall(server).begin(told, at);
  assert.equal(new TestCall(server).begin(told, at).reason, "RATE_LIMITED");
});

test("a call in flight that an authenticated gateway counts is not counted again either", () => {
  const resources = rateLimit("products").inFlight(1).at("both").resources();
  assert.deepEqual(new TestCall(world({ resources })).begin(grpc(GET)).call.addFields, ["x-weft-limited", "products"]);
  const told: CallRequest = {
    ...grpc(GET),
    fields: ["content-type", "application/grpc", "x-weft-limited", "products"],
  };
  const server = world({ resources });
  const from = (peerIdentity: string): string =>
    new TestCall(server).begin(told, { place: "server", service: "products", peerIdentity }).reason;
  const gateway = "spiffe://shop/gateway";
  assert.deepEqual([from(gateway), from(gateway), from(""), from("")], ["", "", "", "TOO_MANY_IN_FLIGHT"]);
});

test("in shadow mode every call passes, noted and counted", () => {
  const runtime = world({ resources: rateLimit("products").allow(1, "1m").shadow().resources() });
  call(runtime, grpc(GET));
  const second = call(runtime, grpc(GET));
  assert.equal(second.reason, "");
  const step = second.call.decision.steps.find(({ rule }) => rule === "limit");
  assert.equal(step?.verdict, "shadow");
  assert.match(step?.text ?? "", /over 1\/min; let pass/);
});

test("calls wait for their place when they may, and no longer than their deadline", () => {
  const runtime = world({ resources: rateLimit("products").allow(10).spaced("250ms").resources() });
  call(runtime, grpc(GET));
  const waiting = new TestCall(runtime).begin(grpc(GET));
  assert.equal(waiting.endpoints.length, 0);
  assert.equal(waiting.advance(99).endpoints.length, 0);
  assert.equal(waiting.advance(1).endpoints.length, 1);
  assert.equal(new TestCall(runtime).begin(grpc(GET), { deadline: 50 }).reason, "RATE_LIMITED");
  assert.equal(new TestCall(runtime).begin(grpc(GET)).reason, ""); // at 200 ms
  assert.equal(new TestCall(runtime).begin(grpc(GET)).reason, "RATE_LIMITED"); // would be at 300 ms
});

test("several limits hold together; a dear method takes more", () => {
  const resources = [
    ...rateLimit("products")
      .allow(10, "1m")
      .cost({ methods: { "p.Products/Buy": 4 } })
      .resources(),
    ...rateLimit("p.Products/Get").allow(3, "1m").named("gets").resources(),
  ];
  const runtime = world({ resources });
  const reasons = [GET, GET, GET, GET].map((path) => call(runtime, grpc(path)).reason);
  assert.deepEqual(reasons, ["", "", "", "RATE_LIMITED"]);
  assert.equal(call(runtime, grpc("/p.Products/Buy")).reason, ""); // 4 of 10 are gone: the refused Get took one too
  assert.equal(call(runtime, grpc("/p.Products/Buy")).reason, "RATE_LIMITED");
});

test("a header can make a call dearer, never cheaper", () => {
  const runtime = world({
    resources: rateLimit("products").allow(10, "1m").cost({ fixed: 2, header: "x-cost", max: 6 }).resources(),
  });
  const costs = (cost: string): unknown => {
    const made = call(runtime, http("GET", "/", ["x-cost", cost]), { service: "products" });
    return made.call.decision.steps.find(({ rule }) => rule === "limit")?.values.cost;
  };
  assert.deepEqual([costs("0"), costs("nonsense"), costs("99")], [2, 2, 6]);
});

test("tells callers what is left, on answers and refusals", () => {
  const tell = (fields?: "legacy"): PolicyRuntime =>
    world({ resources: rateLimit("products").allow(2, "1m").tell(fields).resources() });
  let runtime = tell();
  const first = call(runtime, grpc(GET));
  assert.deepEqual(first.call.addFields, [
    "ratelimit-policy",
    '"products";q=2;w=60',
    "ratelimit",
    '"products";r=1;t=30',
  ]);
  call(runtime, grpc(GET));
  const refused = call(runtime, grpc(GET)).call.response?.fields ?? [];
  assert.ok(refused.includes('"products";r=0;t=60') && refused.includes("retry-after"));
  runtime = tell("legacy");
  assert.deepEqual(call(runtime, grpc(GET)).call.addFields, [
    ...["ratelimit-limit", "2", "ratelimit-remaining", "1", "ratelimit-reset", "30"],
  ]);
});

test("single values have limits of their own", () => {
  const runtime = world({
    resources: rateLimit("products").allow(1, "1m").byHeader("x-user").except("vip", 3).resources(),
  });
  const passed = (user: string): number =>
    [1, 2, 3, 4].filter(() => call(runtime, http("GET", "/", ["x-user", user]), { service: "products" }).reason === "")
      .length;
  assert.deepEqual([passed("ann"), passed("vip")], [1, 3]);
});

test("a key with too much of the calls gets the tighter limit, the others do not notice", () => {
  const runtime = world({
    resources: rateLimit("products").allow(1_000).byHeader("x-user").hot(0.2, 10, { minCalls: 50 }).resources(),
  });
  const passed = { whale: 0, fish: 0 };
  let last = "";
  for (let i = 0; i < 1_000; i++) {
    const user = i % 2 === 0 ? "whale" : `fish ${i % 100}`;
    const made = call(runtime, http("GET", "/", ["x-user", user]), { service: "products" }, i / 10);
    if (made.reason === "") passed[user === "whale" ? "whale" : "fish"]++;
    else last = made.call.decision.steps.find(({ rule }) => rule === "limit")?.text ?? "";
  }
  assert.equal(passed.fish, 500);
  assert.ok(passed.whale >= 10 && passed.whale <= 50, `${passed.whale}`);
  assert.match(last, /over 10\/s for whale; next in .* \(hot key\)/);
});

test("asks the shared limiter, and keeps to its share of the limit when that does not answer", () => {
  const runtime = world({ resources: rateLimit("products").allow(8, "1m").by("address").shared().resources() });
  runtime.process.peers = 4;
  const asking = new TestCall(runtime).begin(grpc(GET));
  const { queryId, query } = asking.call as Call;
  assert.equal(query?.kind, "shared-limit");
  assert.deepEqual(query?.about as SharedLimitRequest, {
    ...{ name: "products", key: "10.1.1.1", algorithm: "token-bucket" },
    ...{ requests: 8, perMs: 60_000, burst: 8, cost: 1 },
  });
  asking.call.answered(queryId, { allowed: false, waitMs: 3_000, left: 0 }, 0);
  assert.equal(asking.drain().reason, "RATE_LIMITED");
  let passed = 0;
  for (let i = 0; i < 8; i++) if (new TestCall(runtime).begin(grpc(GET)).advance(60).endpoints.length === 1) passed++;
  assert.equal(passed, 2); // a quarter of 8
});

test("holds calls in flight, lets the next go on when one ends, and gives up in time", () => {
  const resources = rateLimit("products").inFlight(1, { queue: 2, maxWait: "1s" }).resources();
  const runtime = world({ resources });
  const woken: TestCall[] = [];
  const begin = (): TestCall => {
    const made = new TestCall(runtime);
    made.call.waker = { wake: () => woken.push(made) };
    return made.begin(grpc(GET));
  };
  const [one, two, three, four] = [begin(), begin(), begin(), begin()];
  assert.deepEqual(
    [one, two, three].map(({ endpoints }) => endpoints.length),
    [1, 0, 0],
  );
  assert.equal(four.reason, "TOO_MANY_IN_FLIGHT");
  one.head(1, 200, ["grpc-status", "0"]);
  assert.deepEqual(woken, [two]);
  two.call.woken(5);
  assert.equal(two.drain().endpoints.length, 1);
  assert.equal(three.advance(1_000).reason, "TOO_MANY_IN_FLIGHT");
  assert.match(explainDecision(three.call.decision), /1 of 1 in flight, 1 of 2 waiting; no turn in 1 s/);
  two.head(1, 200, ["grpc-status", "0"]);
  assert.equal(begin().endpoints.length, 1);
  assert.equal(woken.length, 1);
});

test("without a waker a call goes on when its time in the queue is over", () => {
  const runtime = world({ resources: rateLimit("products").inFlight(1, { queue: 1, maxWait: "1s" }).resources() });
  const [one, two] = [new TestCall(runtime).begin(grpc(GET)), new TestCall(runtime).begin(grpc(GET))];
  one.head(1, 200, ["grpc-status", "0"]);
  assert.equal(two.advance(999).endpoints.length, 0);
  assert.equal(two.advance(1).endpoints.length, 1);
});

test("at the server a call's fields are added to the answer that is accepted", () => {
  const runtime = world({ resources: rateLimit("products").allow(5, "1m").at("server").tell().resources() });
  const made = new TestCall(runtime).begin(grpc(GET), { place: "server", service: "products" });
  assert.equal(made.count(Effect.accept), 1);
  assert.ok(made.call.addFields?.includes("ratelimit"));
});

test("whatever the algorithm, calls are forwarded no faster than the limit allows in any window that it promises", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("token-bucket", "gcra", "waiting", "sliding-window"),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 120 }),
      (algorithm, requests, waits) => {
        let limit = rateLimit("products").allow(requests, "1s");
        if (algorithm === "gcra") limit = limit.spaced();
        if (algorithm === "waiting") limit = limit.spaced("300ms");
        if (algorithm === "sliding-window") limit = limit.sliding();
        const runtime = world({ resources: limit.resources() });
        const passed: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          const made = new TestCall(runtime, now).begin(grpc(GET));
          if (made.endpoints.length === 0 && made.timers.size > 0) {
            const dueAt = Math.min(...made.timers.values());
            made.advance(dueAt - now);
            passed.push(dueAt);
          } else if (made.endpoints.length > 0) passed.push(now);
          made.head(1, 200, ["grpc-status", "0"]);
        }
        passed.sort((a, b) => a - b);
        const burst = algorithm === "token-bucket" ? requests : 1;
        for (let i = 0; i < passed.length; i++) {
          for (let j = i; j < passed.length; j++) {
            const ms = passed[j] - passed[i];
            const most =
              algorithm === "sliding-window" ? (ms < 1_000 ? requests : Infinity) : burst + (ms * requests) / 1_000;
            assert.ok(j - i + 1 <= most + 1e-6, `${j - i + 1} in ${ms} ms`);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("calls in flight never exceed the limit, whoever ends, leaves or gives up, and none is forgotten", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 4 }),
      fc.array(fc.tuple(fc.constantFrom("begin", "end", "gone", "wait"), fc.nat()), { maxLength: 120 }),
      (max, queue, steps) => {
        const limit = rateLimit("products");
        const wait = { queue, maxWait: "100ms" };
        const runtime = world({ resources: limit.inFlight(max, ...(queue > 0 ? [wait] : [])).resources() });
        let now = 0;
        let open: TestCall[] = [];
        const woken: TestCall[] = [];
        const runs = ({ call: { ended }, endpoints }: TestCall): boolean => endpoints.length > 0 && !ended;
        const settle = (): void => {
          for (let next = woken.shift(); next !== undefined; next = woken.shift()) {
            next.call.woken(now);
            next.drain();
          }
          open = open.filter(({ call: { ended } }) => !ended);
          assert.ok(open.filter(runs).length <= max);
        };
        for (const [what, which] of steps) {
          const chosen = open[which % Math.max(1, open.length)];
          if (what === "begin") {
            const made = new TestCall(runtime, now);
            made.call.waker = { wake: () => woken.push(made) };
            open.push(made.begin(grpc(GET)));
          } else if (what === "wait") {
            now += which % 80;
            for (const one of open) if (!runs(one)) one.advance(now - one.now);
          } else if (chosen !== undefined && what === "end" && runs(chosen)) chosen.head(1, 200, ["grpc-status", "0"]);
          else if (chosen !== undefined && what === "gone") {
            chosen.call.downstreamGone(now);
            chosen.drain();
          }
          settle();
        }
        for (const one of [...open]) {
          one.call.downstreamGone(now);
          one.drain();
        }
        settle();
        assert.equal(new TestCall(runtime, now).begin(grpc(GET)).endpoints.length, 1);
      },
    ),
    { numRuns: 100 },
  );
});
