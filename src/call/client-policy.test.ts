import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, CountResponseSchema } from "../../examples/counter/gen/counter/v1/counter.ts";
import { codecOf } from "../contract/codec.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { seededRandom } from "../core/random.ts";
import { createUpstreamPool } from "../net/pool.ts";
import type { TrafficPolicySpec } from "../policy/resource/resources.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
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
): AsyncDisposable & { client: Client<typeof Counter> } {
  const policy = createPolicyRuntime({ random: seededRandom(7) });
  const metadata = { name: "counter" };
  policy.applyResources(1, [{ apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata, spec }], METHODS);
  const changed = servers.map(({ port }, i): Endpoint => {
    const where = { host: "127.0.0.1", port, version: "", zone: "", weight: 1 };
    return { id: `counter-${i}`, service: "counter", ...where, protocol: "h2c", health: "healthy", metadata: {} };
  });
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const pool = createUpstreamPool({});
  const client = createClient(Counter, { carrier: createCarrier({ policy, pool }), service: "counter" });
  return { client, [Symbol.asyncDispose]: () => pool.close(0) };
}

function answer(call: WireCall): void {
  call.onEnd = () => call.reply(codecOf(CountResponseSchema).encode({ count: 1n }));
}

function die(call: WireCall): void {
  call.onEnd = () => call.stream.connection.close();
}

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
