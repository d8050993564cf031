import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Effect } from "../call.ts";
import { grpc, http, TestCall, world } from "../machine/call.case.ts";
import type { Tape, TapeRecord } from "../machine/tape.ts";
import type { Resource } from "../resource/resources.ts";
import { traffic } from "../resource/traffic-builder.ts";
import { parseResources } from "../resource/validate.ts";
import type { FaultSpec } from "./fault-field.ts";
import { parseFaultHeader } from "./fault-header.ts";

function faults(fault: FaultSpec, also: readonly Resource[] = []) {
  return world({ resources: [...traffic("products").fault(fault).resources(), ...also] });
}

test("a delay holds the call back, then it goes on", () => {
  const call = new TestCall(faults({ delay: { fixed: "200ms" } })).begin(grpc("/p.Products/Get"));
  assert.equal(call.count(Effect.forward), 0);
  call.advance(199);
  assert.equal(call.count(Effect.forward), 0);
  call.advance(1).head(1, 200, ["grpc-status", "0"]);
  assert.equal(call.call.decision.durationMs, 200);
  const step = call.call.decision.steps.find(({ rule }) => rule === "fault");
  assert.equal(step?.text, "delayed by 200 ms (TrafficPolicy products)");
});

test("F3: a delay that outlasts the call's time-out ends at it, as a slow service would", () => {
  const resources = traffic("products")
    .timeout("50ms")
    .fault({ delay: { fixed: "2s" } })
    .resources();
  const call = new TestCall(world({ resources })).begin(grpc("/p.Products/Get")).advance(50);
  assert.equal(call.reason, "DEADLINE_EXCEEDED");
  assert.equal(call.call.decision.durationMs, 50);
});

test("a delay ends with the caller's deadline", () => {
  const call = new TestCall(faults({ delay: { fixed: "2s" } })).begin(grpc("/p.Products/Get"), { deadline: 30 });
  call.advance(30);
  assert.equal(call.reason, "DEADLINE_EXCEEDED");
});

test("an abort answers with the status it names, in the terms of either protocol", () => {
  for (const [fault, status, code] of [
    [{ abort: { status: 503 } }, 503, "unavailable"],
    [{ abort: { status: 404 } }, 404, "unimplemented"],
    [{ abort: { grpcStatus: "resource_exhausted" } }, 429, "resource_exhausted"],
  ] as const) {
    const call = new TestCall(faults(fault)).begin(grpc("/p.Products/Get"));
    assert.equal(call.call.response?.status, status);
    assert.equal(call.call.response?.error?.code, code);
    assert.equal(call.reason, "FAULT_ABORT");
    assert.match(call.call.decision.nearest, /without the fault of TrafficPolicy products/);
  }
  const fine = new TestCall(faults({ abort: { status: 204 } })).begin(http("GET", "/p.Products/Get"));
  assert.deepEqual([fine.call.response?.status, fine.call.response?.error], [204, null]);
});

test("a reset is marked for the shell, a throttle told with deliver", () => {
  const reset = new TestCall(faults({ reset: {} })).begin(grpc("/p.Products/Get"));
  assert.equal(reset.call.response?.reset, true);
  assert.equal(reset.reason, "FAULT_RESET");
  const throttled = new TestCall(faults({ throttle: { bytesPerSecond: 1_000 } })).begin(grpc("/p.Products/Get"));
  throttled.head(1, 200, [], false);
  assert.equal(throttled.call.bytesPerSecond, 1_000);
});

test("only calls with the header fields of `match` suffer", () => {
  const runtime = faults({ abort: { status: 500 }, match: [{ name: "X-Chaos", value: "yes" }, { name: "x-user" }] });
  const begin = (fields: readonly string[]) => new TestCall(runtime).begin(http("GET", "/p.Products/Get", fields));
  assert.equal(begin(["x-chaos", "yes", "x-user", "7"]).reason, "FAULT_ABORT");
  for (const fields of [[], ["x-chaos", "yes"], ["x-chaos", "no", "x-user", "7"]]) {
    assert.equal(begin(fields).count(Effect.forward), 1);
  }
});

test("the header field weft-fault counts only where policy says so, and only from authenticated callers", () => {
  const fields = ["weft-fault", "abort=503"];
  const ask = (runtime: ReturnType<typeof faults>, parts = {}) =>
    new TestCall(runtime).begin(http("GET", "/p.Products/Get", fields), parts);
  const known = { peerIdentity: "spiffe://shop/tester" };
  assert.equal(ask(faults({ delay: { fixed: "1s", percent: 0 } }), known).count(Effect.forward), 1);
  const open = faults({ byHeader: {} });
  const refused = ask(open);
  assert.equal(refused.count(Effect.forward), 1);
  assert.deepEqual(refused.call.removeFields, ["weft-fault"]); // nobody behind acts on it
  assert.equal(ask(open, known).reason, "FAULT_ABORT");
  const named = faults({ byHeader: { callers: ["spiffe://shop/other"] } });
  assert.equal(ask(named, known).count(Effect.forward), 1);
  assert.equal(ask(faults({ byHeader: { maxPercent: 0 } }), known).count(Effect.forward), 1);
});

test("weft-fault is read strictly", () => {
  const parsed = parseFaultHeader("delay=200ms;percent=50, abort=unavailable, throttle=65536, reset;percent=1", 10);
  assert.equal(parsed?.delay?.ms, 200);
  assert.equal(parsed?.delay?.percent, 10);
  assert.equal(parsed?.abort?.code, "unavailable");
  assert.equal(parsed?.resetPercent, 1);
  assert.equal(parsed?.throttle?.bytesPerSecond, 65_536);
  for (const wrong of [
    "",
    "abort",
    "abort=99",
    "abort=OK",
    "delay=5",
    "delay=2h",
    "reset=1",
    "reset;percent=101",
    "x=1",
  ]) {
    assert.equal(parseFaultHeader(wrong, 100), null, wrong);
  }
});

test("F2: at most maxActive calls suffer a fault at the same time", () => {
  const runtime = faults({ delay: { fixed: "1s" }, maxActive: 2 });
  const calls = [1, 2, 3].map(() => new TestCall(runtime).begin(grpc("/p.Products/Get")));
  assert.deepEqual(
    calls.map((call) => call.count(Effect.forward)),
    [0, 0, 1],
  );
  calls[0].call.downstreamGone(5);
  assert.equal(new TestCall(runtime, 5).begin(grpc("/p.Products/Get")).count(Effect.forward), 0);
});

test("each backend suffers its own faults", () => {
  const resources = [
    ...traffic("products@v2")
      .fault({ abort: { status: 500 } })
      .resources(),
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "split" },
      spec: {
        rules: [
          {
            backendRefs: [
              { name: "products@v1", weight: 3 },
              { name: "products@v2", weight: 1 },
            ],
          },
        ],
      },
    } as const,
  ];
  const runtime = world({ resources, endpoints: [] });
  const reasons = new Map<string, number>();
  for (let i = 0; i < 400; i++) {
    const { reason } = new TestCall(runtime).begin(http("GET", "/x"));
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  assert.ok(Math.abs((reasons.get("FAULT_ABORT") ?? 0) - 100) < 40, JSON.stringify([...reasons]));
});

test("faults are not injected at the server, and a more specific policy can switch them off", () => {
  const server = new TestCall(faults({ abort: { status: 500 } })).begin(grpc("/p.Products/Get"), { place: "server" });
  assert.equal(server.count(Effect.accept), 1);
  const off = faults({ abort: { status: 500 } }, traffic("p.Products/Get").fault(false).resources());
  assert.equal(new TestCall(off).begin(grpc("/p.Products/Get")).count(Effect.forward), 1);
  assert.equal(new TestCall(off).begin(grpc("/p.Products/Buy")).reason, "FAULT_ABORT");
});

test("F1: of many calls the share that policy says suffers, the same ones for the same seed", () => {
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom(0, 1, 12.5, 50, 99, 100), (seed, percent) => {
      const run = (): number[] => {
        const resources = traffic("products")
          .fault({ abort: { status: 503, percent } })
          .resources();
        const runtime = world({ resources, seed });
        const hit: number[] = [];
        for (let i = 0; i < 2_000; i++) {
          const { call } = new TestCall(runtime).begin(grpc("/p.Products/Get"));
          if (call.ended) hit.push(i);
          else call.downstreamGone(0);
          runtime.release(call);
        }
        return hit;
      };
      const hit = run();
      const share = percent / 100;
      const deviation = Math.sqrt(2_000 * share * (1 - share));
      assert.ok(Math.abs(hit.length - 2_000 * share) <= 6 * deviation, `${hit.length} of 2000 at ${percent} %`);
      assert.deepEqual(run(), hit);
    }),
    { numRuns: 8 },
  );
});

test("delays by distribution stay within their bounds and around their mean", () => {
  const sum = (fault: FaultSpec): { mean: number; least: number; most: number } => {
    const runtime = faults(fault);
    let total = 0;
    let least = Number.POSITIVE_INFINITY;
    let most = 0;
    for (let i = 0; i < 2_000; i++) {
      const call = new TestCall(runtime).begin(grpc("/p.Products/Get"));
      const delayMs = call.timers.get(2) ?? 0;
      total += delayMs;
      least = Math.min(least, delayMs);
      most = Math.max(most, delayMs);
      call.call.downstreamGone(0);
    }
    return { mean: total / 2_000, least, most };
  };
  const uniform = sum({ delay: { min: "100ms", max: "300ms" } });
  assert.ok(uniform.least >= 100 && uniform.most <= 300 && Math.abs(uniform.mean - 200) < 10);
  const exponential = sum({ delay: { mean: "100ms" } });
  assert.ok(exponential.most <= 1_000 && Math.abs(exponential.mean - 100) < 12);
});

test("what cannot be meant is refused", () => {
  const problems = (fault: unknown): string => {
    try {
      parseResources([
        { apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata: { name: "x" }, spec: { fault } },
      ]);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.match(problems({ delay: { fixed: "1s", mean: "1s" } }), /needs one of/);
  assert.match(problems({ delay: { min: "1s" } }), /go together/);
  assert.match(problems({ delay: { min: "1s", max: "1s" } }), /longer than "min"/);
  assert.match(problems({ abort: {} }), /needs one of "status" and "grpcStatus"/);
  assert.match(problems({ abort: { grpcStatus: "5xx" } }), /must be/);
  assert.match(problems({ throttle: {} }), /"bytesPerSecond" is missing/);
  assert.match(problems({ reset: { percent: 101 } }), /from 0 to 100/);
  assert.equal(problems({ reset: { percent: 1 }, byHeader: { callers: ["a"], maxPercent: 5 }, maxActive: 3 }), "");
});

test("a recorded fault comes out again with any other randomness", () => {
  const spec: FaultSpec = { abort: { status: 503, percent: 50 }, delay: { mean: "10ms", percent: 50 }, maxActive: 1 };
  const run = (seed: number, tape: TapeRecord | null) => {
    const resources = traffic("products").fault(spec).resources();
    const call = new TestCall(world({ resources, seed }));
    const own = (call.call as unknown as { state: { tape: Tape } }).state.tape;
    if (tape === null) own.record();
    else own.play(tape, () => {});
    call.begin(grpc("/p.Products/Get")).advance(1_000);
    if (!call.call.ended) call.head(1, 200, ["grpc-status", "0"]);
    const { steps, outcome, durationMs } = call.call.decision;
    return { tape: own.recorded, seen: JSON.stringify({ steps, outcome, durationMs }) };
  };
  for (let seed = 1; seed <= 20; seed++) {
    const recorded = run(seed, null);
    assert.equal(run(seed + 1_000, recorded.tape).seen, recorded.seen);
  }
});

test("a caller's wish for faults goes no further than the gateway, whatever is said there of faults", () => {
  const asks = ["weft-fault", "abort=503"];
  for (const resources of [
    [],
    traffic("products")
      .fault({ delay: { fixed: "1ms", percent: 0 } })
      .resources(),
  ]) {
    const call = new TestCall(world({ resources })).begin(http("GET", "/", asks), { service: "products" });
    assert.equal(call.count(Effect.forward), 1);
    assert.ok(call.call.removeFields?.includes("weft-fault"));
  }
  const typed = new TestCall(world({})).begin(http("GET", "/", asks), { service: "products", place: "client" });
  assert.equal(typed.call.removeFields, null, "a typed client asks with it");
});
