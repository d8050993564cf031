import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, CountResponseSchema, WatchResponseSchema } from "../../examples/counter/gen/counter/v1/counter.ts";
import { codecOf } from "../contract/codec.ts";
import { VirtualClock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { seededRandom } from "../core/random.ts";
import { until } from "../net/harness.case.ts";
import { createUpstreamPool } from "../net/pool.ts";
import type { Decision } from "../policy/call.ts";
import type { Resource, TrafficPolicySpec } from "../policy/resource/resources.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { responseHead } from "../wire/head.ts";
import { createCarrier } from "./carrier.ts";
import { createClient } from "./client.ts";
import type { Client } from "./client-types.ts";
import { startWireServer, type WireCall, type WireServer } from "./loopback.case.ts";

// A typed client under policy, over real connections.

const METHODS: MethodInfo[] = Counter.methods.map((method) => ({
  path: `/${Counter.typeName}/${method.name}`,
  service: "counter",
  idempotent: method.name === "Count",
  clientStreaming: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
  serverStreaming: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
}));

function connect(
  servers: readonly WireServer[],
  spec: TrafficPolicySpec,
  standby: readonly WireServer[] = [],
  options: Pick<
    Parameters<typeof createClient<typeof Counter>>[1],
    "ambient" | "clock" | "fallback" | "onDecision"
  > = {},
  more: readonly Resource[] = [],
): AsyncDisposable & { client: Client<typeof Counter> } {
  const policy = createPolicyRuntime({ random: seededRandom(7) });
  const metadata = { name: "counter" };
  policy.applyResources(
    1,
    [{ apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata, spec }, ...more],
    METHODS,
  );
  const endpointOf = (service: string, { port }: WireServer, i: number): Endpoint => {
    const where = { host: "127.0.0.1", port, version: "", zone: "", weight: 1 };
    return { id: `${service}-${i}`, service, ...where, protocol: "h2c", health: "healthy", metadata: {} };
  };
  const changed = [
    ...servers.map((server, i) => endpointOf("counter", server, i)),
    ...standby.map((server, i) => endpointOf("standby", server, i)),
  ];
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const pool = createUpstreamPool({});
  const client = createClient(Counter, {
    carrier: createCarrier({ policy, pool, clock: options.clock }),
    service: "counter",
    ...options,
  });
  return { client, [Symbol.asyncDispose]: () => pool.close(0) };
}

function answer(call: WireCall): void {
  call.onEnd = () => call.reply(codecOf(CountResponseSchema).encode({ count: 1n }));
}

function die(call: WireCall): void {
  call.onEnd = () => call.stream.connection.close();
}

test("hedged: a server that stalls is overtaken by another, and its call is cancelled there", async () => {
  const cancelled: string[] = [];
  await using stalled = await startWireServer((call) => {
    call.onCancelled = ({ kind }) => cancelled.push(kind);
  });
  await using living = await startWireServer(answer);
  const hedge = { after: "20ms", ratio: 1 };
  await using system = connect([stalled, living], { timeout: "5s", hedge, balancer: { kind: "round-robin" } });
  const attempts: number[] = [];
  for (let i = 0; i < 10; i++) {
    const onDecision = (decision: Decision) => attempts.push(decision.attempts.length);
    assert.equal((await system.client.count({ count: 5n }, { onDecision })).count, 1n);
  }
  assert.ok(attempts.includes(2), "some calls needed the hedge");
  await until(() => stalled.open.size === 0 || cancelled.length === stalled.heads.length, "the losers are reset");
  assert.equal(cancelled.length, stalled.heads.length);
});

test("a repeated attempt says so to the server, a first one does not", async () => {
  await using refusing = await startWireServer((call) => {
    call.onEnd = () => call.fail(14);
  });
  await using system = connect([refusing], { retry: { attempts: 1 } });
  await assert.rejects(system.client.count({ count: 5n }));
  const said = refusing.heads.map(({ fields }) => [
    fieldOf(fields, "x-weft-attempt"),
    fieldOf(fields, "grpc-previous-rpc-attempts"),
  ]);
  assert.deepEqual(said, [
    [undefined, undefined],
    ["2", "1"],
  ]);
});

test("what a handler calls for a retried call is not retried again, and says so", async () => {
  await using refusing = await startWireServer((call) => {
    call.onEnd = () => call.fail(14);
  });
  const ambient = () => ({ deadline: Infinity, signal: undefined, extraFields: null, callerAttempt: 2 });
  await using system = connect([refusing], { retry: { attempts: 2 } }, [], { ambient });
  await assert.rejects(system.client.count({ count: 5n }));
  assert.deepEqual(
    refusing.heads.map(({ fields }) => fieldOf(fields, "x-weft-attempt")),
    ["2"],
  );
});

test("bulkheads: calls beyond a policy's streams and waiting places are refused, the others are served in turn", async () => {
  const held: WireCall[] = [];
  await using slow = await startWireServer((call) => {
    call.onEnd = () => held.push(call);
  });
  const limits = { maxConnections: 1, maxStreams: 1, maxPending: 1 };
  await using system = connect([slow], { retry: { attempts: 0 }, limits });
  const reply = codecOf(CountResponseSchema).encode({ count: 1n });
  const first = system.client.count({ count: 5n }); // the connection that it waits for is there from now on
  await until(() => held.length === 1, "a connection");
  held.pop()?.reply(reply);
  await first;
  const calls = [1, 2, 3].map(() => system.client.count({ count: 5n }));
  await assert.rejects(calls[2], (error: WeftError) => error.reason === "UPSTREAM_OVERFLOW");
  for (const call of [0, 1]) {
    await until(() => held.length === 1, "one under way");
    held.pop()?.reply(reply);
    assert.equal((await calls[call]).count, 1n);
  }
});

test("a stream on which nothing moves is ended by its idle time-out", async () => {
  await using silent = await startWireServer((call) => {
    call.sendHead();
    call.sendMessage(codecOf(WatchResponseSchema).encode({ count: 1n }));
  });
  const clock = new VirtualClock();
  await using system = connect([silent], { idleTimeout: "30ms" }, [], { clock });
  const stream = system.client.watch({});
  await stream.next();
  const ended = assert.rejects(stream.next(), (error: WeftError) => error.reason === "IDLE_TIMEOUT");
  clock.advance(100);
  await ended;
});

test("a stand-by service answers for one that is away", async () => {
  await using standby = await startWireServer(answer);
  await using system = connect([], { fallback: { service: "standby" } }, [standby]);
  assert.equal((await system.client.count({ count: 5n })).count, 1n);
  assert.equal(fieldOf(standby.heads[0].fields, "x-weft-attempt"), undefined);
});

test("a function answers in place of a service that cannot, for the failures that it is for", async () => {
  await using refusing = await startWireServer((call) => {
    call.onEnd = () => call.fail(call.head.path.endsWith("Count") ? 14 : 5);
  });
  const decisions: string[] = [];
  await using system = connect([refusing], { retry: { attempts: 0 } }, [], {
    onDecision: ({ fallback = "" }) => decisions.push(fallback),
    fallback: { count: ({ count }, error) => ({ count: (count ?? 0n) + (error.code === "unavailable" ? 100n : 0n) }) },
  });
  assert.equal((await system.client.count({ count: 5n })).count, 105n);
  assert.deepEqual(decisions, ["function"]);
  await using other = connect([refusing], { retry: { attempts: 0 } }, [], {
    fallback: { count: { on: ["not_found"], answer: () => ({ count: 1n }) } },
  });
  await assert.rejects(other.client.count({ count: 5n }), (error: WeftError) => error.code === "unavailable");
  assert.throws(() => connect([refusing], {}, [], { fallback: { watch: () => ({}) } as never }), /unary/);
});

test("a unary call marked idempotent survives an endpoint that dies in the middle of it", async () => {
  await using dying = await startWireServer(die);
  await using living = await startWireServer(answer);
  await using system = connect([dying, living], { retry: { attempts: 2 } });
  for (let i = 0; i < 10; i++) assert.equal((await system.client.count({ count: 5n })).count, 1n);
  assert.ok(dying.heads.length > 0, "the dying one was tried");
});

test("what is not idempotent is not sent again once the server may have acted", async () => {
  await using dying = await startWireServer(die);
  await using system = connect([dying], { retry: { attempts: 2 } });
  await assert.rejects(system.client.sum([{ count: 1n }]), { code: "unavailable" });
  assert.equal(dying.heads.length, 1);
});

test("a retryable status in a trailers-only answer is retried", async () => {
  let calls = 0;
  await using server = await startWireServer((call) => {
    calls++;
    if (calls === 1) call.fail(14, "not yet");
    else answer(call);
  });
  await using system = connect([server], { retry: { attempts: 1, backoff: { base: "1ms", max: "1ms" } } });
  assert.equal((await system.client.count({})).count, 1n);
  assert.equal(calls, 2);
});

test("policy's timeout ends a call that nobody answers", async () => {
  await using server = await startWireServer(() => {});
  await using system = connect([server], { timeout: "80ms", retry: { attempts: 0 } });
  await assert.rejects(system.client.count({}), { code: "deadline_exceeded" });
});

test("a fallback's JSON becomes the typed response, of unary calls and streams", async () => {
  await using system = connect([], { fallback: { body: { count: "77" } } });
  assert.equal((await system.client.count({})).count, 77n);
  const seen: bigint[] = [];
  for await (const { count } of system.client.watch({})) seen.push(count);
  assert.deepEqual(seen, [77n]);
});

test("a fallback that is no message of the method is an error that says so", async () => {
  await using system = connect([], { fallback: { body: "sorry" } });
  await assert.rejects(system.client.count({}), {
    code: "unavailable",
    reason: "BAD_FALLBACK",
    message: /CountResponse/,
  });
});

test("a call that overruns what is kept is sent whole, and is not retried", async () => {
  const text = "x".repeat(30_000);
  let bytes = 0;
  await using server = await startWireServer((call) => {
    call.onMessage = (message) => {
      bytes += message.length;
    };
    call.onEnd = () => call.fail(14, "no");
  });
  await using system = connect([server], { retry: { attempts: 2, bufferBytes: 40_000, nonIdempotent: true } });
  await assert.rejects(system.client.chat(Array.from({ length: 8 }, () => ({ text }))).next(), { code: "unavailable" });
  assert.equal(server.heads.length, 1);
  assert.ok(bytes > 8 * 30_000);
});

test("faults are injected into a typed client's own calls: an abort, a reset, a delay, a throttled answer", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => call.reply(codecOf(CountResponseSchema).encode({ count: -1n }));
  });
  const reasonOf = async (spec: TrafficPolicySpec): Promise<string> => {
    await using mesh = connect([server], spec);
    return mesh.client.count({ count: 1n }).then(
      () => "",
      ({ reason }: WeftError) => reason,
    );
  };
  assert.equal(await reasonOf({ fault: { abort: { grpcStatus: "aborted" } } }), "FAULT_ABORT");
  assert.equal(await reasonOf({ fault: { reset: {} } }), "FAULT_RESET");
  assert.equal(await reasonOf({ timeout: "20ms", fault: { delay: { fixed: "1s" } } }), "DEADLINE_EXCEEDED");
  assert.equal(server.heads.length, 0);
  await using slow = connect([server], { fault: { throttle: { bytesPerSecond: 100 } } });
  const begun = performance.now();
  await slow.client.count({ count: 1n });
  const tookMs = performance.now() - begun; // 16 bytes at 100 a second, 5 of them at once
  assert.ok(tookMs >= 90 && tookMs < 2_000, `${tookMs} ms`);
});

test("a fallback written for gRPC answers a typed client, too: its status, and its message before one made of JSON", async () => {
  await using failing = connect([], { fallback: { grpc: { status: "aborted", message: "later" } } });
  await assert.rejects(failing.client.count({}), { code: "aborted", reason: "FALLBACK", message: "later" });
  const body = Buffer.from(codecOf(CountResponseSchema).encode({ count: 9n })).toString("base64");
  await using answering = connect([], { fallback: { body: { count: "77" }, grpc: { body } } });
  assert.equal((await answering.client.count({})).count, 9n);
});

test("what is no gRPC and has no body is told by its HTTP status", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => call.stream.sendHead(responseHead(call.head.path.endsWith("Count") ? 503 : 401, []), null, true);
  });
  await using system = connect([server], { retry: { attempts: 0 } });
  await assert.rejects(system.client.count({}), { code: "unavailable", reason: "NOT_GRPC" });
  await assert.rejects(system.client.watch({}).next(), { code: "unauthenticated", reason: "NOT_GRPC" });
});

test("routes and faults go by a typed call's metadata as by any header", async () => {
  await using server = await startWireServer(answer);
  await using canary = await startWireServer(answer);
  const matches = [{ headers: [{ name: "x-lane", value: "blue" }] }];
  const lanes: Resource = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GRPCRoute",
    metadata: { name: "lanes" },
    spec: {
      parentRefs: [{ kind: "Service", name: "counter" }],
      rules: [{ matches, backendRefs: [{ name: "standby" }] }],
    },
  };
  const fault = { abort: { grpcStatus: "aborted" }, match: [{ name: "x-lane", value: "red" }] };
  await using system = connect([server], { fault }, [canary], {}, [lanes]);
  for (const lane of ["blue", "green", "blue", ""]) await system.client.count({}, { metadata: { "x-lane": lane } });
  await system.client.count({});
  assert.deepEqual([canary.heads.length, server.heads.length], [2, 3]);
  await assert.rejects(system.client.count({}, { metadata: { "x-lane": "red" } }), { reason: "FAULT_ABORT" });
});

test("a route's header changes are about a typed call's metadata, too", async () => {
  await using server = await startWireServer(answer);
  const requestHeaderModifier = {
    set: [{ name: "x-user", value: "route" }],
    add: [{ name: "x-add", value: "route" }],
    remove: ["x-drop"],
  };
  const changes: Resource = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GRPCRoute",
    metadata: { name: "changes" },
    spec: {
      parentRefs: [{ kind: "Service", name: "counter" }],
      rules: [
        { filters: [{ type: "RequestHeaderModifier", requestHeaderModifier }], backendRefs: [{ name: "counter" }] },
      ],
    },
  };
  await using system = connect([server], {}, [], {}, [changes]);
  await system.client.count({}, { metadata: { "x-user": "ann", "x-add": "ann", "x-drop": "ann", "x-kept": "ann" } });
  const { fields } = server.heads[0];
  const own = fields.filter((_, i) => fields[i - (i % 2)].startsWith("x-"));
  assert.deepEqual(own, ["x-add", "ann", "x-kept", "ann", "x-user", "route", "x-add", "route"]);
});
