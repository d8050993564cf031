import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { requestHead } from "../wire/head.ts";
import type { HttpStream, RequestHandler, StreamSink } from "../wire/stream.ts";
import { call, echoHandler, endpointAt, exchangeRaw, OK, open, until } from "./harness.case.ts";
import { listen } from "./listener.ts";
import { createUpstreamPool } from "./pool.ts";
import type { Listener } from "./types.ts";

test("one port serves HTTP/1.1 and HTTP/2, with the shared read buffer and without", async () => {
  const transcripts: string[] = [];
  for (const sharedRead of [true, false]) {
    await using listener = disposable(await listen({ handler: echoHandler, sharedRead }));
    const pool = createUpstreamPool();
    for (const protocol of ["http1", "h2c"] as const) {
      const endpoint = endpointAt(listener.port, protocol);
      const body = "x".repeat(200_000);
      assert.equal((await call(pool, endpoint, "/a")).body, "GET /a ");
      assert.equal((await call(pool, endpoint, "/b", body)).body, `POST /b ${body}`);
      assert.equal((await call(pool, endpoint)).connection.version, protocol === "http1" ? "1.1" : "2");
    }
    const raw =
      "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" +
      "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    transcripts.push((await exchangeRaw(listener.port, raw)).replace(/date: [^\r]*/g, "date"));
    await pool.close(1_000);
  }
  assert.match(transcripts[0], /POST \/1 abcHTTP.*POST \/2 hiHTTP.*GET \/3 $/s);
  assert.equal(transcripts[0], transcripts[1], "both ways of reading give the same bytes");
});

test("the preface may come in pieces", async () => {
  await using listener = disposable(await listen({ handler: echoHandler }));
  const socket = await open(listener.port);
  const received: Buffer[] = [];
  socket.on("data", (chunk) => received.push(chunk));
  for (const piece of ["PRI * H", "TTP/2.0\r\n\r", "\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"]) {
    socket.write(piece, "latin1");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until(() => Buffer.concat(received).length >= 9, "SETTINGS");
  assert.equal(Buffer.concat(received)[3], 4, "the first frame is SETTINGS");
  socket.destroy();
});

test("random bytes at the port are refused and harm nobody", async () => {
  const errors: string[] = [];
  await using listener = disposable(
    await listen({ handler: echoHandler, onConnectionError: (_peer, message) => errors.push(message) }),
  );
  let seed = 7;
  const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff) >> 8;
  const garbage = (): string =>
    String.fromCharCode(...Array.from({ length: 1 + (random() % 300) }, () => random() & 255));
  const starts = [
    "",
    "GET / HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
  ];
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => exchangeRaw(listener.port, starts[i % starts.length] + garbage(), true)),
  );
  assert.deepEqual(errors, []);
  const tls = await exchangeRaw(listener.port, "\x16\x03\x01\x02\x00\x01\x00");
  assert.match(tls, /^HTTP\/1\.1 400 Bad Request\r\n/);
  await until(() => listener.connections === 0, "every connection closed");
});

test("a port in use is an error that names it", async () => {
  await using listener = disposable(await listen({ handler: echoHandler }));
  await assert.rejects(listen({ handler: echoHandler, port: listener.port }), (error: unknown) => {
    assert.ok(error instanceof WeftError);
    assert.equal(error.code, "failed_precondition");
    assert.equal(error.reason, "PORT_IN_USE");
    assert.match(error.message, new RegExp(`port ${listener.port} is in use`));
    return true;
  });
  await assert.rejects(listen({ handler: echoHandler, host: "192.0.2.1" }), { reason: "ADDRESS_UNKNOWN" });
});

test("connections above the limit are closed, the others stay", async () => {
  await using listener = disposable(await listen({ handler: echoHandler, limits: { maxConnections: 2 } }));
  const first = await open(listener.port);
  const second = await open(listener.port);
  await until(() => listener.connections === 2, "both accepted");
  const third = await open(listener.port);
  third.on("error", () => {});
  await once(third, "close");
  assert.equal(listener.connections, 2);
  first.destroy();
  second.destroy();
});

test("a handler that throws costs its connection, and is reported", async () => {
  const errors: string[] = [];
  const handler = {
    onRequest() {
      throw new Error("handler is broken");
    },
  };
  await using listener = disposable(
    await listen({ handler, onConnectionError: (_peer, message) => errors.push(message) }),
  );
  assert.equal(await exchangeRaw(listener.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "");
  assert.match(errors[0], /handler is broken/);
});

test("drain under load loses no accepted request", async () => {
  for (const protocol of ["http1", "h2c"] as const) {
    const listener = await listen({ handler: slowHandler(5) });
    const pool = createUpstreamPool();
    const endpoint = endpointAt(listener.port, protocol);
    let done = 0;
    let draining = false;
    const failures: unknown[] = [];
    const worker = async (): Promise<void> => {
      while (!draining || done === 0) {
        try {
          await call(pool, endpoint);
          done++;
        } catch (failure) {
          // What the server certainly did not act on may be sent elsewhere: nothing is lost by it.
          if (!(failure as { unprocessed: boolean }).unprocessed) failures.push(failure);
          return;
        }
      }
    };
    const workers = Array.from({ length: 32 }, worker);
    await until(() => done > 200, "load");
    const drained = listener.drain(5_000);
    setTimeout(() => (draining = true), 400);
    await Promise.all(workers);
    await drained;
    assert.deepEqual(failures, [], protocol);
    assert.equal(listener.connections, 0);
    await pool.close(0);
  }
});

test("drain waits for a long request, and cuts it when its time is up", async () => {
  const streams: HttpStream[] = [];
  const handler = {
    onRequest(stream: HttpStream) {
      stream.sink = ignore;
      streams.push(stream);
    },
  };
  const clock = new VirtualClock();
  const listener = await listen({ handler, clock });
  const pool = createUpstreamPool();
  const patient = call(pool, endpointAt(listener.port, "http1"));
  const endless = call(pool, endpointAt(listener.port, "http1"));
  await until(() => streams.length === 2, "both arrived");
  const cut = assert.rejects(endless, { kind: "connection-lost" });
  const drained = listener.drain(300);
  let refused = false;
  while (!refused) {
    await open(listener.port).then(
      (socket) => socket.destroy(),
      () => (refused = true),
    );
  }
  streams[0].sendHead(OK, null, true);
  assert.equal((await patient).status, 200);
  clock.advance(300);
  await cut;
  await drained;
  await pool.close(0);
});

test("a slow reader stops the sender: what is kept for it stays bounded", async () => {
  const total = 64 * 1_048_576;
  let sent = 0;
  let most = 0;
  const block = Buffer.alloc(65_536, 0x61);
  const pump = (stream: HttpStream): void => {
    for (let more = true; more && sent < total; ) {
      sent += block.length;
      more = stream.sendData(block, 0, block.length, sent >= total);
      most = Math.max(most, stream.bufferedBytes);
    }
  };
  const handler = {
    onRequest(stream: HttpStream) {
      stream.sink = { ...ignore, onWritable: () => pump(stream) };
      stream.sendHead(OK, ["content-length", String(total)], false);
      pump(stream);
    },
  };
  await using listener = disposable(await listen({ handler }));
  for (const protocol of ["http1", "h2c"] as const) {
    sent = most = 0;
    let received = 0;
    const pool = createUpstreamPool();
    const before = process.memoryUsage().rss;
    await new Promise<void>((resolve, reject) => {
      const sink = {
        ...ignore,
        onReset: (_stream: HttpStream, failure: unknown) => reject(failure),
        onData(stream: HttpStream, _chunk: Uint8Array, from: number, to: number, fin: boolean) {
          received += to - from;
          // A reader that takes its time over every piece.
          setImmediate(() => setImmediate(() => stream.credit(to - from)));
          if (fin) resolve();
        },
      };
      pool.acquire(endpointAt(listener.port, protocol), {
        onConnection: (connection) => void connection.request(GET, null, true, sink),
        onConnectFailed: reject,
      });
    });
    assert.equal(received, total);
    assert.ok(most <= 2_000_000, `${protocol}: ${most} bytes were kept`);
    const grown = process.memoryUsage().rss - before;
    assert.ok(grown < 60 * 1_048_576, `${protocol}: memory grew by ${grown}`);
    await pool.close(0);
  }
});

test("a peer that does not read what is written to it is cut", async () => {
  const clock = new VirtualClock();
  const block = Buffer.alloc(8 * 1_048_576);
  let asked = false;
  const handler: RequestHandler = {
    onRequest(stream) {
      asked = true;
      stream.sink = ignore;
      stream.sendHead(OK, null, false);
      stream.sendData(block, 0, block.length, false);
    },
  };
  await using listener = disposable(await listen({ handler, clock }));
  const socket = await open(listener.port);
  socket.on("error", () => {});
  socket.pause();
  socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await until(() => asked, "the request"); // and what it writes at the end of that turn
  for (let second = 0; second < 74; second++) clock.advance(1_000);
  assert.equal(listener.connections, 1);
  for (let second = 0; second < 4; second++) clock.advance(1_000);
  await until(() => listener.connections === 0, "cut");
  socket.destroy();
});

const GET = requestHead("GET", "http", "test", "/");
const ignore: StreamSink = { onHead() {}, onData() {}, onTrailers() {}, onReset() {}, onWritable() {} };

function slowHandler(ms: number): RequestHandler {
  return {
    onRequest(stream) {
      stream.sink = ignore;
      setTimeout(() => stream.sendHead(OK, null, true), ms);
    },
  };
}

function disposable(listener: Listener): Listener & AsyncDisposable {
  return Object.assign(listener, { [Symbol.asyncDispose]: () => listener.close() });
}
