import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { createDirectClient } from "../call/direct.ts";
import { Metadata } from "../call/metadata.ts";
import { parseContractSet } from "../contract/contract-set.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../contract/gen/grpc/health/v1/health.ts";
import type { Health as EndpointHealth } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import type { Link, Registration } from "../link/types.ts";
import { CA_CERT, SERVER_CERT, SERVER_KEY, SPIFFE_CERT, SPIFFE_KEY } from "../net/certificates.case.ts";
import { service } from "./definition.ts";
import type { Implementation } from "./implementation.ts";
import { createRuntime, type Runtime } from "./runtime.ts";
import { type ServeOptions, serve } from "./serve.ts";

/** A gate that handlers wait at. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

async function started(implementation: Implementation<typeof Counter> = {}, options: ServeOptions = {}) {
  const runtime = createRuntime({ env: {} });
  const errors: WeftError[] = [];
  const counter = service(Counter, { count: ({ count }) => ({ count: count + 1n }), ...implementation });
  const server = await serve(counter, { port: 0, runtime, onError: (error) => void errors.push(error), ...options });
  const client = runtime.connect(Counter, { address: server.address });
  return {
    runtime,
    server,
    client,
    errors,
    async [Symbol.asyncDispose]() {
      await server.stop(100);
      await runtime.close();
    },
  };
}

/** Sends bytes, and returns all that comes until the server closes or is silent. */
async function exchangeBytes(port: number, bytes: Uint8Array | string, silenceMs = 300): Promise<string> {
  const socket = connectSocket(port, "127.0.0.1");
  const parts: Buffer[] = [];
  socket.on("data", (chunk) => parts.push(chunk));
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(bytes);
  socket.setTimeout(silenceMs, () => socket.destroy());
  await once(socket, "close");
  return Buffer.concat(parts).toString("latin1");
}

test("one port answers gRPC, REST over both versions, health and probes", async () => {
  await using it = await started({ hello: () => ({ contentType: "text/plain", data: Buffer.from("Hello!") }) });
  assert.equal((await it.client.count({ count: 1n })).count, 2n);
  assert.equal(await (await fetch(`http://${it.server.address}/counter`)).text(), "Hello!");
  assert.equal((await fetch(`http://${it.server.address}/readyz`)).status, 200);
  await using health = createDirectClient(Health, it.server.address);
  assert.equal((await health.client.check({ service: "counter.v1.Counter" })).status, Status.SERVING);
  assert.equal(it.server.state, "serving");
});

test("metadata, errors with their reason, and deadlines pass between client and server", async () => {
  await using it = await started({
    count(request, call) {
      call.setHeader("x-head", call.requestHeaders.get("x-given") ?? "");
      call.setTrailer("x-tail-bin", Buffer.from([1, 2, 3]));
      if (request.count < 0n) throw new WeftError("out_of_range", "ünder zero", { reason: "NEGATIVE" });
      return request.count === 7n ? new Promise(() => {}) : { count: request.count };
    },
  });
  let headers = new Metadata();
  let trailers = new Metadata();
  const options = {
    metadata: { "x-given": "yes" },
    onHeader: (got: Metadata) => (headers = got),
    onTrailer: (got: Metadata) => (trailers = got),
  };
  await it.client.count({ count: 1n }, options);
  assert.equal(headers.get("x-head"), "yes");
  assert.deepEqual([...trailers.getBinary("x-tail-bin")[0]], [1, 2, 3]);
  await assert.rejects(it.client.count({ count: -1n }), { code: "out_of_range", reason: "NEGATIVE", message: /ünder/ });
  await assert.rejects(it.client.count({ count: 7n }, { timeoutMs: 60 }), { code: "deadline_exceeded" });
});

test("streams of thousands of messages cross both ways, at the reader's pace", async () => {
  const total = 5_000;
  await using it = await started({
    async *chat(requests) {
      for await (const { text } of requests) yield { text: `${text}${"x".repeat(200)}` };
    },
    async sum(requests) {
      let sum = 0n;
      for await (const { count } of requests) sum += count;
      return { sum };
    },
  });
  async function* texts() {
    for (let i = 0; i < total; i++) yield { text: String(i) };
  }
  let next = 0;
  for await (const { text } of it.client.chat(texts())) {
    assert.ok(text.startsWith(String(next++)));
    if (next === 10) await new Promise((resolve) => setTimeout(resolve, 20)); // the server has to wait
  }
  assert.equal(next, total);
  async function* numbers() {
    for (let i = 1; i <= total; i++) yield { count: BigInt(i) };
  }
  assert.equal((await it.client.sum(numbers())).sum, BigInt((total * (total + 1)) / 2));
});

test("a caller that leaves a stream aborts the handler's signal", async () => {
  const aborted = gate();
  await using it = await started({
    async *watch(_request, call) {
      call.signal.addEventListener("abort", () => aborted.open());
      for (let n = 0n; ; n++) {
        yield { count: n };
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  });
  for await (const { count } of it.client.watch({})) if (count === 3n) break;
  await aborted.opened;
});

test("stopping waits for calls in flight, tells health, and loses none", async () => {
  const enter = gate();
  const leave = gate();
  await using it = await started({
    async count({ count }) {
      if (count !== 1n) return { count };
      enter.open();
      await leave.opened;
      return { count: 100n };
    },
    async *watch() {
      yield { count: 1n };
      await leave.opened;
      yield { count: 2n };
    },
  });
  const slow = it.client.count({ count: 1n });
  const stream = it.client.watch({});
  assert.equal((await stream.next()).value?.count, 1n);
  await enter.opened;
  assert.equal(it.server.inFlight, 2);
  await using health = createDirectClient(Health, it.server.address);
  const watching = health.client.watch({});
  assert.equal((await watching.next()).value?.status, Status.SERVING);
  const stopped = it.server.stop(5_000);
  assert.equal((await watching.next()).value?.status, Status.NOT_SERVING);
  await watching.return?.();
  assert.equal(it.server.state, "draining");
  let over = false;
  void stopped.then(() => (over = true));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(over, false);
  leave.open();
  assert.equal((await slow).count, 100n);
  assert.equal((await stream.next()).value?.count, 2n);
  assert.equal((await stream.next()).done, true);
  await stopped;
  assert.equal(it.server.inFlight, 0);
  await assert.rejects(it.client.count({ count: 2n }), { code: "unavailable" });
});

test("under load, every call that is begun while the server drains is answered or certainly not processed", async () => {
  await using it = await started({
    async count({ count }) {
      await new Promise((resolve) => setTimeout(resolve, Number(count % 7n)));
      return { count: count + 1n };
    },
  });
  let answered = 0;
  let refused = 0;
  let stop = false;
  const callers = Array.from({ length: 20 }, async (_, caller) => {
    for (let i = 0; !stop; i++) {
      try {
        const { count } = await it.client.count({ count: BigInt(caller * 1000 + i) });
        assert.equal(count, BigInt(caller * 1000 + i + 1));
        answered++;
      } catch (thrown) {
        assert.equal((thrown as WeftError).code, "unavailable", String(thrown));
        assert.equal((thrown as WeftError).retryable, true, String(thrown));
        refused++;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  });
  while (answered <= 50) await new Promise((resolve) => setTimeout(resolve, 5));
  await it.server.stop(5_000);
  while (refused === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  stop = true;
  await Promise.all(callers);
  assert.ok(answered > 50 && refused > 0, `${answered} answered, ${refused} refused`);
});

test("what outlives the drain time is cut", async () => {
  const enter = gate();
  let signal: AbortSignal | undefined;
  await using it = await started({
    count(_request, call) {
      signal = call.signal;
      enter.open();
      return new Promise(() => {});
    },
  });
  const call = it.client.count({});
  call.catch(() => {});
  await enter.opened;
  await it.server.stop(50);
  await assert.rejects(call, WeftError);
  assert.equal(signal?.aborted, true);
});

test("malformed bytes at the port are answered or cut, and the server goes on", async () => {
  await using it = await started();
  const { port } = it.server;
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  assert.match(await exchangeBytes(port, "nonsense\r\n\r\n"), /^HTTP\/1\.1 400 /);
  assert.match(await exchangeBytes(port, "GET / HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 400 /); // no Host
  assert.match(
    await exchangeBytes(port, `GET /${"a".repeat(70_000)} HTTP/1.1\r\nhost: x\r\n\r\n`),
    /^HTTP\/1\.1 (?:414|431) /,
  );
  assert.match(
    await exchangeBytes(
      port,
      "POST /v1/counter:count HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    /^HTTP\/1\.1 400 /,
  );
  assert.match(
    await exchangeBytes(
      port,
      "POST /counter.v1.Counter/Count HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n",
    ),
    /^HTTP\/1\.1 505 [\s\S]*HTTP2_REQUIRED/,
  );
  await exchangeBytes(port, `${preface}${"\xff".repeat(100)}`);
  await exchangeBytes(port, Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 7919) % 256)));
  await exchangeBytes(port, preface.slice(0, 10));
  assert.equal((await it.client.count({ count: 1n })).count, 2n);
  assert.deepEqual(it.errors, []);
  assert.equal(it.server.inFlight, 0);
});

test("over TLS the caller's certificate is its identity, and strangers are refused", async () => {
  const tls = { cert: SERVER_CERT, key: SERVER_KEY, ca: CA_CERT, requireClientCertificate: true };
  const seen: string[] = [];
  await using it = await started(
    {
      count({ count }, call) {
        seen.push(call.peer.identity);
        return { count };
      },
    },
    { tls },
  );
  const { address } = it.server;
  const known = it.runtime.connect(Counter, { address, tls: { ca: CA_CERT, cert: SPIFFE_CERT, key: SPIFFE_KEY } });
  assert.equal((await known.count({ count: 5n })).count, 5n);
  assert.match(seen[0], /^spiffe:\/\//);
  const stranger = it.runtime.connect(Counter, { address, tls: { ca: CA_CERT } });
  await assert.rejects(stranger.count({}, { timeoutMs: 2_000 }), WeftError);
  const plain = it.runtime.connect(Counter, { address });
  await assert.rejects(plain.count({}, { timeoutMs: 2_000 }), WeftError);
  assert.equal(seen.length, 1);
});

test("a port in use is refused by its number", async () => {
  await using it = await started();
  await assert.rejects(started({}, { port: it.server.port }), { code: "failed_precondition", reason: "PORT_IN_USE" });
});

test("context passes on: deadline, request id, trace, lane and cancellation", async () => {
  const seen: Record<string, unknown>[] = [];
  const aborted = gate();
  await using inner = await started({
    async count({ count }, call) {
      seen.push({
        id: call.requestHeaders.get("x-request-id"),
        trace: call.requestHeaders.get("traceparent"),
        lane: call.requestHeaders.get("x-weft-lane"),
        secret: call.requestHeaders.get("authorization"),
        within: call.timeRemainingMs() <= 2_000,
      });
      if (count === 1n) return { count };
      await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
      aborted.open();
      return {};
    },
  });
  const runtime = createRuntime({ env: {} });
  const next = runtime.connect(Counter, { address: inner.server.address });
  const passing = service(Counter, {
    async count(request) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return await next.count(request);
    },
  });
  const outer = await serve(passing, { port: 0, runtime });
  try {
    const client = inner.runtime.connect(Counter, { address: outer.address });
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const metadata = { "x-request-id": "req-1", traceparent: trace, "x-weft-lane": "blue", authorization: "Bearer x" };
    await client.count({ count: 1n }, { metadata, timeoutMs: 2_000 });
    assert.deepEqual(seen[0], { id: "req-1", trace, lane: "blue", secret: undefined, within: true });
    const controller = new AbortController();
    const call = client.count({ count: 2n }, { signal: controller.signal });
    call.catch(() => {});
    while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
    controller.abort();
    await aborted.opened;
  } finally {
    await outer.stop(100);
    await runtime.close();
  }
});

test("with a control plane it registers, reports health, and leaves before it refuses calls", async () => {
  const told: string[] = [];
  let registration: Registration | undefined;
  const link: Link = {
    limits: { take: (_request, answer) => answer(null) },
    settings: { follow: async () => {}, saved: async () => null },
    connected: true,
    subscribe: async () => {},
    watchContracts() {},
    close: async () => {},
    async register(given) {
      registration = given;
      told.push("registered");
      return {
        async setHealth(health: EndpointHealth) {
          told.push(health);
        },
        async release() {
          told.push("released");
        },
      };
    },
  };
  const real = createRuntime({
    env: { WEFT_INSTANCE: "counter-1", WEFT_VERSION: "v2", WEFT_ZONE: "a", WEFT_TAGS: "canary,blue" },
  });
  const runtime: Runtime = Object.assign(Object.create(real) as Runtime, {
    settings: real.settings,
    clock: real.clock,
    wheel: real.wheel,
    scope: real.scope,
    meters: real.meters,
    link: () => link,
    identity: async () => null,
  });
  const server = await serve(service(Counter, {}), { port: 0, runtime });
  assert.equal(real.meters.size, 1);
  const { endpoint, contracts, descriptors } = registration ?? assert.fail();
  assert.deepEqual(
    { ...endpoint, port: 0 },
    {
      id: "counter-1",
      service: "counter",
      host: "127.0.0.1",
      port: 0,
      version: "v2",
      zone: "a",
      weight: 1,
      protocol: "h2c",
      metadata: { tags: "canary,blue" },
    },
  );
  assert.equal(endpoint.port, server.port);
  assert.deepEqual(contracts, ["counter.v1.Counter"]);
  assert.ok(parseContractSet(descriptors ?? assert.fail()).methods.has("/counter.v1.Counter/Count"));
  await server.setReady(false, "warming up");
  assert.equal((await fetch(`http://${server.address}/readyz`)).status, 503);
  await server.setReady(true);
  await server.stop();
  assert.deepEqual(told, ["registered", "unhealthy", "healthy", "draining", "released"]);
  assert.equal(real.meters.size, 0);
});

test("a client without address or control plane says what to set, when it is called", async () => {
  const runtime = createRuntime({ env: {} });
  const client = runtime.connect(Counter);
  const expected = { code: "failed_precondition", reason: "NO_CONTROL_PLANE", message: /WEFT_CONTROL/ };
  await assert.rejects(client.count({}), expected);
  await assert.rejects(async () => {
    for await (const _ of client.watch({})) assert.fail();
  }, expected);
});

test("environment variables that are wrong are named", () => {
  assert.throws(() => createRuntime({ env: { PORT: "http" } }), /PORT is "http"/);
  assert.throws(() => createRuntime({ env: { WEFT_CONTROL: "somewhere" } }), /WEFT_CONTROL.*HOST:PORT/);
  assert.equal(createRuntime({ env: { WEFT_CONTROL: "http://127.0.0.1:4000" } }).settings.control, "127.0.0.1:4000");
});
