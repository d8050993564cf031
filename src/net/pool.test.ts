import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import type { ClientConnection, HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import { call, echoHandler, endpointAt, OK, until } from "./harness.case.ts";
import { listen } from "./listener.ts";
import { createUpstreamPool } from "./pool.ts";
import type { ConnectionWaiter } from "./types.ts";

const ignore: StreamSink = { onHead() {}, onData() {}, onTrailers() {}, onReset() {}, onWritable() {} };

/** Answers when told to. */
function held(): { handler: { onRequest(stream: HttpStream): void }; streams: HttpStream[]; answer(): void } {
  const streams: HttpStream[] = [];
  return {
    streams,
    handler: {
      onRequest(stream) {
        stream.sink = ignore;
        streams.push(stream);
      },
    },
    answer() {
      for (const stream of streams.splice(0)) stream.sendHead(OK, null, true);
    },
  };
}

test("HTTP/1.1 connections are kept alive and used again; HTTP/2 shares one", async () => {
  const listener = await listen({ handler: echoHandler });
  for (const protocol of ["http1", "h2c"] as const) {
    const pool = createUpstreamPool();
    const endpoint = endpointAt(listener.port, protocol);
    const first = await call(pool, endpoint);
    for (let i = 0; i < 5; i++) assert.equal((await call(pool, endpoint)).connection, first.connection);
    const together = await Promise.all(Array.from({ length: 10 }, () => call(pool, endpoint)));
    const distinct = new Set(together.map((each) => each.connection));
    if (protocol === "h2c") assert.deepEqual([...distinct], [first.connection]);
    else assert.ok(distinct.size <= 10);
    // A new object for the same endpoint, as after a health change, keeps the connections.
    assert.equal((await call(pool, { ...endpoint, weight: 2 })).connection.version, first.connection.version);
    await pool.close(1_000);
  }
  await listener.close();
});

test("callers wait in order when every connection is busy, and are refused when too many do", async () => {
  const { handler, streams, answer } = held();
  const listener = await listen({ handler });
  const pool = createUpstreamPool({ maxConnectionsHttp1: 2, maxWaiting: 3 });
  const endpoint = endpointAt(listener.port, "http1");
  const order: number[] = [];
  const calls = Array.from({ length: 5 }, (_, i) =>
    call(pool, endpoint, `/${i}`).then(
      () => order.push(i),
      (failure: StreamFailure) => failure,
    ),
  );
  const refused = (await calls[3]) as StreamFailure;
  assert.equal(refused.kind, "refused");
  assert.equal(refused.unprocessed, true);
  assert.match(refused.message, /test-1.*3 callers waiting/);
  await until(() => streams.length === 2, "two under way");
  assert.equal(listener.connections, 2);
  answer();
  await until(() => streams.length === 1, "the third");
  answer();
  await Promise.all(calls);
  assert.deepEqual(order, [0, 1, 2]);
  await pool.close(100);
  await listener.close();
});

test("HTTP/2 opens another connection when one is full", async () => {
  const { handler, streams, answer } = held();
  const listener = await listen({ handler, limits: { maxConcurrentStreams: 2 } });
  const pool = createUpstreamPool();
  const endpoint = endpointAt(listener.port, "h2c");
  // Its answer comes after the server's SETTINGS: from then on the pool knows the limit.
  const first = call(pool, endpoint);
  await until(() => streams.length === 1, "first");
  answer();
  await first;
  const calls = [call(pool, endpoint), call(pool, endpoint), call(pool, endpoint)];
  await until(() => streams.length === 3, "all under way");
  assert.equal(listener.connections, 2);
  answer();
  assert.deepEqual(
    (await Promise.all(calls)).map((each) => each.status),
    [200, 200, 200],
  );
  await pool.close(100);
  await listener.close();
});

test("a dead connection is not given out again, and a restarted endpoint is reached", async () => {
  for (const protocol of ["http1", "h2c"] as const) {
    const first = await listen({ handler: echoHandler });
    const pool = createUpstreamPool();
    const endpoint = endpointAt(first.port, protocol);
    const before = await call(pool, endpoint);
    await first.close();
    await until(() => (before.connection as ClientConnection).available === 0, "the loss is noticed");
    await assert.rejects(call(pool, endpoint), (failure: StreamFailure) => {
      assert.equal(failure.kind, "connect");
      assert.equal(failure.unprocessed, true);
      assert.match(failure.message, new RegExp(`127\\.0\\.0\\.1:${endpoint.port}.*refused.*ECONNREFUSED`));
      return true;
    });
    const second = await listen({ handler: echoHandler, port: endpoint.port });
    assert.equal((await call(pool, endpoint)).status, 200);
    await pool.close(100);
    await second.close();
  }
});

test("a connection that was told GOAWAY is replaced", async () => {
  const first = await listen({ handler: echoHandler });
  const pool = createUpstreamPool();
  const endpoint = endpointAt(first.port, "h2c");
  const before = await call(pool, endpoint);
  await first.drain(1_000);
  const second = await listen({ handler: echoHandler, port: endpoint.port });
  const after = await call(pool, endpoint);
  assert.notEqual(after.connection, before.connection);
  await pool.close(100);
  await second.close();
});

test("a cancelled waiter is not told; removing an endpoint fails those who wait", async () => {
  const silent = await silentServer();
  const pool = createUpstreamPool({ maxConnectionsHttp1: 1 });
  const endpoint = endpointAt(silent.port, "http1");
  void call(pool, endpoint).catch(() => {});
  const told: string[] = [];
  const waiter = (name: string): ConnectionWaiter => ({
    onConnection: () => told.push(`${name} connection`),
    onConnectFailed: (failure) => told.push(`${name} ${failure.kind}`),
  });
  const a = waiter("a");
  assert.equal(pool.acquire(endpoint, a), null);
  assert.equal(pool.acquire(endpoint, waiter("b")), null);
  pool.cancel(endpoint, a);
  pool.remove(endpoint);
  await until(() => told.length > 0, "b is told");
  assert.deepEqual(told, ["b refused"]);
  await pool.close(0);
  assert.equal(pool.acquire(endpoint, waiter("c")), null);
  await until(() => told.length > 1, "c is told");
  assert.equal(told[1], "c refused");
  silent.close();
});

test("connecting is given up after its time", async () => {
  const pool = createUpstreamPool({ connectTimeoutMs: 30 });
  // TLS to a server that never answers the hello.
  const silent = await silentServer();
  await assert.rejects(call(pool, endpointAt(silent.port, "h2")), (failure: StreamFailure) => {
    assert.equal(failure.kind, "connect");
    assert.match(failure.message, /no connection within 30 ms/);
    return true;
  });
  await pool.close(0);
  silent.close();
});

test("idle connections close after their time", async () => {
  const clock = new VirtualClock();
  const listener = await listen({ handler: echoHandler });
  const pool = createUpstreamPool({ clock, limits: { idleTimeoutMs: 3_000 } });
  await call(pool, endpointAt(listener.port, "http1"));
  clock.advance(3_000);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(listener.connections, 1);
  clock.advance(2_000);
  await until(() => listener.connections === 0, "closed");
  await pool.close(0);
  await listener.close();
});

test("a request on a connection that the server closes unanswered is lost, not called unprocessed", async () => {
  const server = await silentServer((socket) => socket.once("data", () => socket.destroy()));
  const pool = createUpstreamPool();
  await assert.rejects(call(pool, endpointAt(server.port, "http1")), (failure: StreamFailure) => {
    assert.equal(failure.kind, "connection-lost");
    assert.equal(failure.unprocessed, false);
    return true;
  });
  await pool.close(0);
  server.close();
});

test("closing drains what is under way", async () => {
  const { handler, streams, answer } = held();
  const listener = await listen({ handler });
  for (const protocol of ["http1", "h2c"] as const) {
    const pool = createUpstreamPool();
    const under = call(pool, endpointAt(listener.port, protocol));
    await until(() => streams.length === 1, "under way");
    const closed = pool.close(2_000);
    answer();
    assert.equal((await under).status, 200);
    await closed;
  }
  await listener.close();
  assert.equal(listener.connections, 0);
});

async function silentServer(onSocket: (socket: Socket) => void = () => {}): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
