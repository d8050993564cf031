import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import {
  ChatRequestSchema,
  ChatResponseSchema,
  Counter,
  CountRequestSchema,
  CountResponseSchema,
  SumRequestSchema,
  SumResponseSchema,
  WatchRequestSchema,
  WatchResponseSchema,
} from "../../examples/counter/gen/counter/v1/counter.ts";
import { codecOf } from "../contract/codec.ts";
import { WeftError } from "../core/errors.ts";
import { service } from "./definition.ts";
import type { Implementation } from "./implementation.ts";
import { dispatcherUnderTest, framed, grpcHead, RecordedStream, settle } from "./recorded-stream.case.ts";

const COUNT = "/counter.v1.Counter/Count";
const WATCH = "/counter.v1.Counter/Watch";
const SUM = "/counter.v1.Counter/Sum";
const CHAT = "/counter.v1.Counter/Chat";
const count = (value: bigint) => framed(codecOf(CountRequestSchema).encode({ count: value }));
const counted = (bytes: Uint8Array) => codecOf(CountResponseSchema).decode(bytes, 0, bytes.length).count;
const watch = (limit: number) => framed(codecOf(WatchRequestSchema).encode({ from: 1n, limit }));
const watched = (bytes: Uint8Array) => codecOf(WatchResponseSchema).decode(bytes, 0, bytes.length).count;
const said = (bytes: Uint8Array) => codecOf(ChatResponseSchema).decode(bytes, 0, bytes.length).text;
const chat = (text: string) => framed(codecOf(ChatRequestSchema).encode({ text }));

function counter(implementation: Implementation<typeof Counter> = {}, options = {}) {
  return dispatcherUnderTest([
    service(Counter, { count: (request) => ({ count: request.count + 1n }), ...implementation }, options),
  ]);
}

test("a unary call with a synchronous handler is answered before its last chunk returns", () => {
  const { handler, inFlight } = counter();
  const stream = new RecordedStream().request(handler, grpcHead(COUNT), count(41n));
  assert.equal(stream.status, 200);
  assert.equal(stream.header("content-type"), "application/grpc");
  assert.deepEqual(stream.messages.map(counted), [42n]);
  assert.equal(stream.grpcStatus, 0);
  assert.equal(stream.resetCode, null);
  assert.equal(inFlight.count, 0);
});

test("a head that comes again is planned once", () => {
  const { handler } = counter();
  const head = grpcHead(COUNT);
  new RecordedStream().request(handler, head, count(1n));
  const { memo } = head;
  const stream = new RecordedStream().request(handler, head, count(2n));
  assert.equal(head.memo, memo);
  assert.deepEqual(stream.messages.map(counted), [3n]);
});

test("a request cut anywhere is answered the same", () => {
  const { handler } = counter();
  const bytes = count(1_000_000n);
  fc.assert(
    fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 6 }), fc.boolean(), (cuts, emptyEnd) => {
      const stream = new RecordedStream().request(handler, grpcHead(COUNT));
      stream.sink = stream.sink ?? assert.fail();
      const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const fresh = new RecordedStream();
      handler.onRequest(fresh, grpcHead(COUNT), false);
      for (let i = 1; i < places.length; i++) {
        fresh.send(bytes.subarray(places[i - 1], places[i]), i === places.length - 1 && !emptyEnd);
      }
      if (emptyEnd) fresh.send(Buffer.alloc(0), true);
      assert.deepEqual(fresh.messages.map(counted), [1_000_001n]);
      assert.equal(fresh.credited, bytes.length);
    }),
  );
});

test("an asynchronous handler's headers and trailers travel with its answer", async () => {
  const { handler } = counter({
    async count(request, call) {
      await null;
      call.setHeader("x-one", "1");
      call.setTrailer("x-two-bin", Buffer.from([1, 2]));
      return { count: request.count };
    },
  });
  const stream = new RecordedStream().request(handler, grpcHead(COUNT), count(7n));
  await settle();
  assert.equal(stream.header("x-one"), "1");
  assert.deepEqual(stream.trailers, ["grpc-status", "0", "x-two-bin", "AQI"]);
});

test("errors become trailers, in a head of their own when nothing was sent before", () => {
  const { handler, errors } = counter({
    count(_request, call) {
      call.setTrailer("x-more", "yes");
      throw new WeftError("not_found", "no such counter: ü");
    },
  });
  const stream = new RecordedStream().request(handler, grpcHead(COUNT), count(1n));
  assert.equal(stream.ended, true);
  assert.equal(stream.trailers, null);
  assert.equal(stream.grpcStatus, 5);
  assert.equal(stream.grpcMessage, "no such counter: ü");
  assert.equal(stream.header("x-more"), "yes");
  assert.deepEqual(errors, []);
});

test("other exceptions leave as internal without their text, and are told with it", () => {
  const secret = new Error("password is hunter2");
  const { handler, errors } = counter({
    count() {
      throw secret;
    },
  });
  const stream = new RecordedStream().request(handler, grpcHead(COUNT), count(1n));
  assert.equal(stream.grpcStatus, 13);
  assert.ok(!JSON.stringify(stream.headFields).includes("hunter2"));
  assert.equal(errors.length, 1);
  assert.equal(errors[0].cause, secret);
});

test("an answer that its contract cannot carry is internal, not the caller's fault", () => {
  const { handler, errors } = counter({ count: () => ({ count: 1n << 70n }) });
  const stream = new RecordedStream().request(handler, grpcHead(COUNT), count(1n));
  assert.equal(stream.grpcStatus, 13);
  assert.match(String(errors[0].cause), /CountResponse|count/);
});

test("malformed requests are refused with a status that says why", async () => {
  const { handler, inFlight } = counter({}, { maxRequestBytes: 1000 });
  const cases: [name: string, fields: string[], body: Buffer | null, status: number, message: RegExp][] = [
    ["no message", [], null, 12, /exactly one request message and got none/],
    ["two messages", [], Buffer.concat([count(1n), count(2n)]), 12, /got 2/],
    ["truncated prefix", [], Buffer.from([0, 0]), 3, /middle of a message/],
    ["truncated message", [], count(1n << 40n).subarray(0, 8), 3, /middle of a message/],
    ["bad flag", [], framed(Buffer.alloc(1), 7), 13, /flag/],
    ["compressed without saying how", [], framed(gzipSync("x"), 1), 13, /grpc-encoding/],
    ["unknown encoding", ["grpc-encoding", "br"], count(1n), 12, /gzip/],
    ["broken gzip", ["grpc-encoding", "gzip"], framed(Buffer.from("nonsense"), 1), 3, /gzip/],
    ["gzip bomb", ["grpc-encoding", "gzip"], framed(gzipSync(Buffer.alloc(100_000)), 1), 8, /1000/],
    ["too large", [], framed(Buffer.alloc(1001)), 8, /1001 bytes/],
    ["announced too large", [], Buffer.from([0, 255, 255, 255, 255]), 8, /4294967295 bytes/],
    ["not protobuf", [], framed(Buffer.from([0x08])), 3, /CountRequest/],
    ["bad timeout", ["grpc-timeout", "5 minutes"], count(1n), 3, /grpc-timeout/],
  ];
  for (const [name, fields, body, status, message] of cases) {
    const stream = new RecordedStream().request(handler, grpcHead(COUNT, fields), body);
    await settle();
    assert.equal(stream.grpcStatus, status, name);
    assert.match(stream.grpcMessage, message, name);
    assert.equal(inFlight.count, 0, name);
  }
});

test("random bodies never throw and always end with a status", async () => {
  const { handler, inFlight } = counter({
    sum: async (requests) => ({ sum: BigInt((await Array.fromAsync(requests)).length) }),
  });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(COUNT, SUM), fc.uint8Array({ maxLength: 60 }), async (path, bytes) => {
      const stream = new RecordedStream().request(handler, grpcHead(path), Buffer.from(bytes));
      await settle();
      assert.ok(stream.ended && stream.grpcStatus >= 0);
      assert.equal(inFlight.count, 0);
    }),
  );
});

test("unknown methods and services are unimplemented, with the nearest name", () => {
  const { handler } = counter();
  const typo = new RecordedStream().request(handler, grpcHead("/counter.v1.Counter/Cuont"), count(1n));
  assert.equal(typo.grpcStatus, 12);
  assert.match(typo.grpcMessage, /did you mean/);
  const unknown = new RecordedStream().request(handler, grpcHead("/nobody.v1.Nothing/Do"), count(1n));
  assert.equal(unknown.grpcStatus, 12);
  assert.match(unknown.grpcMessage, /"nobody.v1.Nothing" is not served/);
  const left = new RecordedStream().request(handler, grpcHead(SUM), framed(Buffer.alloc(0)));
  assert.equal(left.grpcStatus, 12);
  assert.match(left.grpcMessage, /not implemented/);
});

test("gRPC needs HTTP/2, POST and its content-type", () => {
  const { handler } = counter();
  assert.equal(new RecordedStream("1.1").request(handler, grpcHead(COUNT), count(1n)).status, 505);
  const web = new RecordedStream().request(handler, grpcHead(COUNT), count(1n));
  assert.equal(web.status, 200);
  const get = grpcHead(COUNT);
  const other = new RecordedStream();
  handler.onRequest(other, Object.assign(Object.create(Object.getPrototypeOf(get)), get, { method: "GET" }), true);
  assert.equal(other.status, 405);
  assert.equal(other.header("allow"), "POST");
});

test("compressed requests are understood and answered compressed when that is worth it", () => {
  const { handler } = counter({
    hello: () => ({ contentType: "text/plain", data: Buffer.alloc(5000, "a") }),
  });
  const fields = ["grpc-encoding", "gzip", "grpc-accept-encoding", "identity, gzip"];
  const small = new RecordedStream().request(
    handler,
    grpcHead(COUNT, fields),
    framed(gzipSync(count(1n).subarray(5)), 1),
  );
  assert.equal(small.header("grpc-encoding"), "gzip");
  assert.deepEqual(small.messages.map(counted), [2n]);
  const large = new RecordedStream().request(
    handler,
    grpcHead("/counter.v1.Counter/Hello", fields),
    framed(Buffer.alloc(0)),
  );
  assert.equal(large.body[0], 1);
  assert.ok(large.body.length < 200);
});

test("a deadline answers, aborts the signal with its reason, and forgets the handler's answer", async () => {
  let reason: unknown;
  const { handler, clock, inFlight } = counter({
    count: (request, call) =>
      new Promise((resolve) => {
        call.signal.addEventListener("abort", () => {
          reason = call.signal.reason;
          resolve({ count: request.count });
        });
      }),
  });
  const stream = new RecordedStream().request(handler, grpcHead(COUNT, ["grpc-timeout", "100m"]), count(1n));
  clock.advance(99);
  assert.equal(stream.ended, false);
  clock.advance(20);
  assert.equal(stream.grpcStatus, 4);
  assert.equal((reason as WeftError).code, "deadline_exceeded");
  assert.equal(inFlight.count, 0);
  await settle();
  assert.equal(stream.messages.length, 0);
});

test("a body that never comes meets the deadline, and the caller is told to stop", () => {
  const { handler, clock } = counter();
  const stream = new RecordedStream();
  handler.onRequest(stream, grpcHead(COUNT, ["grpc-timeout", "50m"]), false);
  clock.advance(100);
  assert.equal(stream.grpcStatus, 4);
  assert.equal(stream.resetCode, 0);
});

test("a service's default timeout holds for callers without a deadline", () => {
  const { handler, clock } = counter({ count: () => new Promise(() => {}) }, { defaultTimeoutMs: 30 });
  const stream = new RecordedStream().request(handler, grpcHead(COUNT), count(1n));
  clock.advance(50);
  assert.equal(stream.grpcStatus, 4);
});

test("a caller that goes away aborts the signal and stops the generator", async () => {
  let stopped = false;
  let aborted: unknown;
  const { handler, inFlight } = counter({
    async *watch(_request, call) {
      try {
        for (let n = 0n; ; n++) {
          yield { count: n };
          await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
        }
      } finally {
        stopped = true;
        aborted = call.signal.reason;
      }
    },
  });
  const stream = new RecordedStream().request(handler, grpcHead(WATCH), watch(0));
  await settle();
  assert.equal(stream.messages.length, 1);
  stream.cancel();
  await settle();
  assert.equal(stopped, true);
  assert.equal((aborted as WeftError).code, "cancelled");
  assert.equal(inFlight.count, 0);
});

test("a generator is asked for more only while the caller can take it", async () => {
  let made = 0;
  const { handler } = counter({
    async *watch({ limit }) {
      for (; made < limit; made++) yield { count: BigInt(made) };
    },
  });
  const stream = new RecordedStream();
  stream.full = true;
  stream.request(handler, grpcHead(WATCH), watch(5));
  await settle();
  assert.equal(stream.messages.length, 1);
  stream.sink.onWritable(stream);
  await settle();
  assert.equal(stream.messages.length, 2);
  stream.full = false;
  stream.sink.onWritable(stream);
  await settle();
  assert.deepEqual(stream.messages.map(watched), [0n, 1n, 2n, 3n, 4n]);
  assert.equal(stream.grpcStatus, 0);
});

test("an error in the middle of a stream comes after what was sent", async () => {
  const { handler } = counter({
    async *watch() {
      yield { count: 1n };
      throw new WeftError("resource_exhausted", "enough");
    },
  });
  const stream = new RecordedStream().request(handler, grpcHead(WATCH), watch(0));
  await settle();
  assert.deepEqual(stream.messages.map(watched), [1n]);
  assert.equal(stream.trailers?.[1], "8");
});

test("a handler that answers before the request ended tells the caller to stop sending", async () => {
  const { handler, inFlight } = counter({
    async sum(requests) {
      for await (const request of requests) return { sum: request.count };
      return { sum: 0n };
    },
  });
  const stream = new RecordedStream();
  handler.onRequest(stream, grpcHead(SUM), false);
  stream.send(framed(codecOf(SumRequestSchema).encode({ count: 9n })), false);
  await settle();
  assert.equal(codecOf(SumResponseSchema).decode(stream.messages[0], 0, stream.messages[0].length).sum, 9n);
  assert.equal(stream.resetCode, 0);
  assert.equal(inFlight.count, 0);
});

test("messages cross in both directions independently", async () => {
  const { handler } = counter({
    async *chat(requests) {
      yield { text: "welcome" };
      for await (const { text } of requests) yield { text: text.toUpperCase() };
      yield { text: "bye" };
    },
  });
  const stream = new RecordedStream();
  handler.onRequest(stream, grpcHead(CHAT), false);
  await settle();
  assert.deepEqual(stream.messages.map(said), ["welcome"]);
  stream.send(chat("a"), false);
  await settle();
  assert.deepEqual(stream.messages.map(said), ["welcome", "A"]);
  stream.send(Buffer.concat([chat("b"), chat("c")]), true);
  await settle();
  assert.deepEqual(stream.messages.map(said), ["welcome", "A", "B", "C", "bye"]);
  assert.equal(stream.grpcStatus, 0);
});

test("any interleaving of sending, cutting, filling up and waiting carries a chat in order, with every byte credited", async () => {
  const { handler, inFlight } = counter({
    async *chat(requests) {
      for await (const { text } of requests) yield { text };
    },
  });
  const step = fc.oneof(
    fc.record({ kind: fc.constant("send" as const), bytes: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ kind: fc.constantFrom("wait" as const, "fill" as const, "drain" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ maxLength: 20 }), { maxLength: 10 }),
      fc.array(step, { maxLength: 40 }),
      async (texts, steps) => {
        const bytes = Buffer.concat(texts.map(chat));
        const stream = new RecordedStream();
        handler.onRequest(stream, grpcHead(CHAT), false);
        let at = 0;
        for (const each of steps) {
          if (each.kind === "send" && at < bytes.length) {
            const end = Math.min(bytes.length, at + each.bytes);
            stream.send(bytes.subarray(at, end), false);
            at = end;
          } else if (each.kind === "wait") await settle();
          else if (each.kind === "fill") stream.full = true;
          else if (each.kind === "drain") {
            stream.full = false;
            stream.sink.onWritable(stream);
          }
        }
        stream.send(bytes.subarray(at), true);
        stream.full = false;
        stream.sink.onWritable(stream);
        await settle();
        assert.deepEqual(stream.messages.map(said), texts);
        assert.equal(stream.grpcStatus, 0);
        assert.equal(stream.credited, bytes.length);
        assert.equal(inFlight.count, 0);
      },
    ),
    { numRuns: 60 },
  );
});

test("interceptors stand around unary calls and streams, the first outermost", async () => {
  const order: string[] = [];
  const { handler } = dispatcherUnderTest(
    [
      service(
        Counter,
        {
          count: (request) => ({ count: request.count }),
          async *watch() {
            yield { count: 1n };
          },
        },
        {
          interceptors: [
            (next) => async (request) => {
              order.push("inner");
              return await next(request);
            },
          ],
        },
      ),
    ],
    [
      (next) => (request) => {
        order.push(`outer ${request.method.name}`);
        if (request.call.requestHeaders.get("authorization") === undefined) {
          throw new WeftError("unauthenticated", "who are you?");
        }
        return next(request);
      },
    ],
  );
  const refused = new RecordedStream().request(handler, grpcHead(COUNT), count(1n));
  assert.equal(refused.grpcStatus, 16);
  const fields = ["authorization", "Bearer x"];
  const unary = new RecordedStream().request(handler, grpcHead(COUNT, fields), count(1n));
  const stream = new RecordedStream().request(handler, grpcHead(WATCH, fields), watch(1));
  await settle();
  assert.deepEqual(unary.messages.map(counted), [1n]);
  assert.deepEqual(stream.messages.map(watched), [1n]);
  assert.deepEqual(order, ["outer Count", "outer Count", "inner", "outer Watch", "inner"]);
});

test("incomplete requests share a budget, and give back what they held", async () => {
  const { handler, buffers, inFlight } = counter({}, { maxRequestBytes: 8_000_000 });
  const part = framed(Buffer.alloc(7_000_000)).subarray(0, 6_000_000);
  const first = new RecordedStream();
  handler.onRequest(first, grpcHead(COUNT), false);
  first.send(part, false);
  assert.equal(buffers.usedBytes, part.length);
  const second = new RecordedStream();
  handler.onRequest(second, grpcHead(COUNT), false);
  second.send(part, false);
  assert.equal(second.grpcStatus, 8);
  assert.match(second.grpcMessage, /maxBufferedBytes/);
  first.cancel();
  assert.equal(buffers.usedBytes, 0);
  const whole = new RecordedStream().request(handler, grpcHead(COUNT), count(1n));
  assert.equal(whole.grpcStatus, 0);
  assert.equal(buffers.usedBytes, 0);
  assert.equal(inFlight.count, 0);
});

test("messages that a handler does not read are held on the budget until the call is over", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { handler, buffers, inFlight } = counter({
    async sum() {
      await promise;
      return { sum: 0n };
    },
  });
  const stream = new RecordedStream();
  handler.onRequest(stream, grpcHead(SUM), false);
  const one = framed(codecOf(SumRequestSchema).encode({ count: 1n }));
  for (let i = 0; i < 100; i++) stream.send(one, false);
  assert.ok(buffers.usedBytes >= 100 * one.length);
  stream.send(Buffer.alloc(0), true);
  resolve();
  await settle();
  assert.equal(stream.grpcStatus, 0);
  assert.equal(buffers.usedBytes, 0);
  assert.equal(stream.credited, 100 * one.length);
  assert.equal(inFlight.count, 0);
});
