import assert from "node:assert/strict";
import { test } from "node:test";
import { requestHead } from "../wire/head.ts";
import type { ClientConnection, HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import { endpointAt, OK, until } from "./harness.case.ts";
import { listen } from "./listener.ts";
import { createUpstreamPool } from "./pool.ts";
import type { ConnectionWaiter, UpstreamPool } from "./types.ts";

const NEVER = Number.POSITIVE_INFINITY;
const ignore: StreamSink = { onHead() {}, onData() {}, onTrailers() {}, onReset() {}, onWritable() {} };
const HEAD = requestHead("GET", "http", "a", "/", []);

/** Requests that are answered when told to. */
async function held(): Promise<{ port: number; streams: HttpStream[]; close(): Promise<void> }> {
  const streams: HttpStream[] = [];
  const listener = await listen({
    handler: {
      onRequest(stream) {
        stream.sink = ignore;
        streams.push(stream);
      },
    },
  });
  return { port: listener.port, streams, close: () => listener.close() };
}

/** One that waits, and sends its request when it gets a connection. */
class Asker implements ConnectionWaiter {
  connection: ClientConnection | null = null;
  failure: StreamFailure | null = null;

  constructor(
    pool: UpstreamPool,
    port: number,
    protocol: "http1" | "h2c",
    bounds: Parameters<UpstreamPool["acquire"]>[2],
  ) {
    const connection = pool.acquire(endpointAt(port, protocol), this, bounds);
    if (connection !== null) this.onConnection(connection);
  }

  onConnection(connection: ClientConnection): void {
    this.connection = connection;
    connection.request(HEAD, null, true, ignore);
  }

  onConnectFailed(failure: StreamFailure): void {
    this.failure = failure;
  }
}

test("maxConnections and maxPending of a policy bound what the pool would do", async () => {
  const server = await held();
  const pool = createUpstreamPool();
  const bounds = { maxConnections: 1, maxPending: 2, maxStreams: NEVER };
  const askers = Array.from({ length: 4 }, () => new Asker(pool, server.port, "http1", bounds));
  await until(() => server.streams.length === 1 && askers[2].failure !== null, "one under way, one refused");
  assert.equal(askers[2].failure?.kind, "refused");
  assert.match(askers[2].failure?.message ?? "", /has 2 callers waiting/);
  assert.equal(askers[1].connection, null);
  server.streams[0].sendHead(OK, null, true);
  await until(() => askers[1].connection !== null, "the connection is free again");
  assert.equal(askers[1].connection, askers[0].connection);
  await pool.close(0);
  await server.close();
});

test("maxStreams of a policy: HTTP/2 goes on over another connection, or waits", async () => {
  const server = await held();
  const pool = createUpstreamPool();
  const bounds = { maxConnections: 2, maxPending: 10, maxStreams: 2 };
  const askers = Array.from({ length: 5 }, () => new Asker(pool, server.port, "h2c", bounds));
  await until(() => server.streams.length === 4, "two on each");
  assert.equal(new Set(askers.slice(0, 4).map(({ connection }) => connection)).size, 2);
  assert.equal(askers[4].connection, null);
  server.streams[0].sendHead(OK, null, true);
  await until(() => server.streams.length === 5, "the fifth");
  await pool.close(0);
  await server.close();
});
