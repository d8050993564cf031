import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { Users } from "../../examples/shop/gen/shop/users/v1/users.ts";
import { WeftError } from "../core/errors.ts";
import { service } from "./definition.ts";
import type { Implementation } from "./implementation.ts";
import { dispatcherUnderTest, RecordedStream, restHead, settle } from "./recorded-stream.case.ts";

const JSON_TYPE = ["content-type", "application/json"];

function counter(implementation: Implementation<typeof Counter> = {}, options = {}) {
  return dispatcherUnderTest([
    service(
      Counter,
      {
        count: (request) => ({ count: request.count + 1n }),
        hello: () => ({ contentType: "text/plain", data: Buffer.from("Hello!") }),
        async *watch({ from, limit }) {
          for (let n = 0; n < limit; n++) yield { count: from + BigInt(n) };
        },
        ...implementation,
      },
      options,
    ),
  ]);
}

test("a POST with JSON is answered in JSON, over either version", () => {
  const { handler, inFlight } = counter();
  for (const version of ["1.1", "2"] as const) {
    const stream = new RecordedStream(version).request(
      handler,
      restHead("POST", "/v1/counter:count", JSON_TYPE),
      Buffer.from('{"count": "41"}'),
    );
    assert.equal(stream.status, 200);
    assert.equal(stream.header("content-type"), "application/json");
    assert.deepEqual(stream.json, { count: "42" });
    assert.equal(stream.header("content-length"), String(stream.body.length));
    assert.equal(stream.ended, true);
  }
  assert.equal(inFlight.count, 0);
});

test("GET is cacheable: an ETag, 304 for whoever has it, and the handler's own Cache-Control", () => {
  const { handler } = counter({
    hello: (_request, call) => {
      call.setHeader("cache-control", "max-age=60");
      return { contentType: "text/plain", data: Buffer.from("Hello!") };
    },
  });
  const first = new RecordedStream().request(handler, restHead("GET", "/counter"));
  assert.equal(first.body.toString(), "Hello!");
  assert.equal(first.header("content-type"), "text/plain");
  assert.equal(first.header("cache-control"), "max-age=60");
  const etag = first.header("etag") ?? assert.fail();
  const again = new RecordedStream().request(handler, restHead("GET", "/counter", ["if-none-match", etag]));
  assert.equal(again.status, 304);
  assert.equal(again.body.length, 0);
  assert.equal(again.header("etag"), etag);
});

test("HEAD has GET's head and no body; OPTIONS says what is allowed", () => {
  const { handler } = counter();
  const head = new RecordedStream().request(handler, restHead("HEAD", "/counter"));
  assert.equal(head.status, 200);
  assert.equal(head.header("content-length"), "6");
  assert.equal(head.body.length, 0);
  assert.equal(head.ended, true);
  const options = new RecordedStream().request(handler, restHead("OPTIONS", "/counter"));
  assert.equal(options.status, 204);
  assert.match(options.header("allow") ?? "", /GET.*HEAD|HEAD.*GET/);
});

test("wrong requests get the status that says why, as a problem document", async () => {
  const { handler, inFlight } = counter({}, { maxRequestBytes: 100 });
  const path = "/v1/counter:count";
  const cases: [
    method: string,
    path: string,
    fields: string[],
    body: string | Buffer | null,
    status: number,
    RegExp,
  ][] = [
    ["GET", "/nothing", [], null, 404, /nothing is served/],
    ["DELETE", path, [], null, 405, /POST/],
    ["POST", "/counter", [], "", 405, /GET/],
    ["POST", path, ["content-type", "text/xml"], "<x/>", 415, /application\/json/],
    ["POST", path, ["content-encoding", "br", ...JSON_TYPE], "{}", 415, /gzip/],
    ["POST", path, JSON_TYPE, "{", 400, /JSON/],
    ["POST", path, JSON_TYPE, "[1]", 400, /object/],
    ["POST", path, JSON_TYPE, '{"count": "x"}', 400, /count/],
    ["POST", path, JSON_TYPE, '{"cuont": 1}', 400, /cuont/],
    ["POST", path, JSON_TYPE, Buffer.from([0x22, 0xff, 0x22]), 400, /UTF-8/],
    ["POST", path, JSON_TYPE, `{"count": "${"1".repeat(100)}"}`, 413, /100 bytes/],
    ["POST", path, ["content-encoding", "gzip", ...JSON_TYPE], "no gzip", 400, /gzip/],
    ["POST", path, ["content-encoding", "gzip", ...JSON_TYPE], gzipSync(Buffer.alloc(10_000)), 413, /100 bytes/],
    ["GET", "/v1/counter:watch?limit=many", [], null, 400, /limit/],
    ["GET", "/v1/counter:watch?colour=red", [], null, 400, /colour/],
    ["GET", "/counter.v1.Counter/Count", [], null, 415, /application\/grpc/],
    ["POST", path, ["grpc-timeout", "never"], "{}", 400, /grpc-timeout/],
  ];
  for (const [method, target, fields, body, status, message] of cases) {
    const bytes = body === null ? null : Buffer.from(body);
    const stream = new RecordedStream("1.1").request(handler, restHead(method, target, fields), bytes);
    while (stream.status === 0) await new Promise(setImmediate); // a compressed body is unpacked on another thread
    const what = `${method} ${target} ${body}`;
    assert.equal(stream.status, status, what);
    assert.equal(stream.header("content-type"), "application/problem+json", what);
    assert.match(String(stream.json.detail), message, what);
    assert.equal(stream.json.status, status, what);
    assert.equal(inFlight.count, 0, what);
    if (status === 405) assert.ok(stream.header("allow"), what);
  }
});

test("random requests never throw and are always answered", async () => {
  const { handler, inFlight } = counter();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "POST", "HEAD", "OPTIONS", "BREW"),
      fc.oneof(fc.webPath(), fc.constantFrom("/v1/counter:count", "/counter", "/v1/counter:watch", "*")),
      fc.oneof(fc.string(), fc.json()),
      async (method, path, body) => {
        const stream = new RecordedStream().request(handler, restHead(method, path, JSON_TYPE), Buffer.from(body));
        await settle();
        assert.ok(stream.status >= 200 && stream.ended);
        assert.equal(inFlight.count, 0);
      },
    ),
  );
});

test("errors of handlers keep code, reason and retryability; other exceptions keep nothing", () => {
  const { handler, errors } = counter({
    count({ count }) {
      if (count === 1n) throw new WeftError("aborted", "try again", { reason: "RACE", retryable: true });
      throw new Error("secret");
    },
  });
  const post = (body: string) =>
    new RecordedStream().request(handler, restHead("POST", "/v1/counter:count", JSON_TYPE), Buffer.from(body));
  const known = post('{"count": 1}');
  assert.equal(known.status, 409);
  assert.deepEqual(
    { ...known.json, title: "" },
    {
      type: "about:blank",
      title: "",
      status: 409,
      detail: "try again",
      code: "aborted",
      reason: "RACE",
      retryable: true,
    },
  );
  const unknown = post('{"count": 2}');
  assert.equal(unknown.status, 500);
  assert.ok(!unknown.body.includes("secret"));
  assert.equal((errors[0].cause as Error).message, "secret");
});

test("a server stream is lines of JSON, or server-sent events for whoever asks for them", async () => {
  const { handler } = counter();
  const lines = new RecordedStream().request(handler, restHead("GET", "/v1/counter:watch?from=5&limit=2"));
  await settle();
  assert.equal(lines.header("content-type"), "application/x-ndjson");
  assert.equal(lines.body.toString(), '{"count":"5"}\n{"count":"6"}\n');
  assert.equal(lines.ended, true);
  const events = new RecordedStream().request(
    handler,
    restHead("GET", "/v1/counter:watch?limit=1", ["accept", "text/event-stream"]),
  );
  await settle();
  assert.equal(events.header("content-type"), "text/event-stream");
  assert.equal(events.body.toString(), 'data: {"count":"0"}\n\n');
});

test("a stream that fails says so: by status before its first message, in the body after it", async () => {
  const { handler } = counter({
    async *watch({ limit }) {
      if (limit > 0) yield { count: 1n };
      throw new WeftError("not_found", "lost it");
    },
  });
  const before = new RecordedStream().request(handler, restHead("GET", "/v1/counter:watch"));
  await settle();
  assert.equal(before.status, 404);
  const after = new RecordedStream().request(handler, restHead("GET", "/v1/counter:watch?limit=1"));
  await settle();
  assert.equal(after.status, 200);
  assert.equal(JSON.parse(after.body.toString().split("\n")[1]).error.code, "not_found");
  assert.equal(after.ended, true);
});

test("large text is compressed for whoever takes it, and says that it varies", () => {
  const text = "counting ".repeat(1000);
  const { handler } = counter({ hello: () => ({ contentType: "text/plain", data: Buffer.from(text) }) });
  const packed = new RecordedStream().request(
    handler,
    restHead("GET", "/counter", ["accept-encoding", "br, gzip;q=0.5"]),
  );
  assert.equal(packed.header("content-encoding"), "gzip");
  assert.equal(packed.header("vary"), "accept-encoding");
  assert.equal(gunzipSync(packed.body).toString(), text);
  const plain = new RecordedStream().request(handler, restHead("GET", "/counter", ["accept-encoding", "gzip;q=0"]));
  assert.equal(plain.header("content-encoding"), undefined);
  assert.equal(plain.body.toString(), text);
});

test("a deadline answers 504 and aborts the signal", async () => {
  let signal: AbortSignal | undefined;
  const { handler, clock } = counter({
    count: (_request, call) => {
      signal = call.signal;
      return new Promise(() => {});
    },
  });
  const head = restHead("POST", "/v1/counter:count", ["grpc-timeout", "20m", ...JSON_TYPE]);
  const stream = new RecordedStream().request(handler, head, Buffer.from("{}"));
  clock.advance(50);
  assert.equal(stream.status, 504);
  assert.equal(signal?.aborted, true);
});

test("liveness answers always, readiness only while calls are wanted", () => {
  const { handler, status } = counter();
  const get = (path: string) => new RecordedStream().request(handler, restHead("GET", path)).status;
  assert.equal(get("/healthz"), 200);
  assert.equal(get("/readyz"), 200);
  status.set("unready");
  assert.equal(get("/readyz"), 503);
  status.set("serving");
  assert.equal(get("/readyz"), 200);
  status.set("draining");
  assert.equal(get("/readyz"), 503);
  assert.equal(get("/healthz"), 200);
  assert.equal(new RecordedStream().request(handler, restHead("POST", "/readyz"), Buffer.alloc(0)).status, 405);
});

test("a refusal comes after the request's body, or before its end when that is large", () => {
  const { handler } = counter();
  const head = restHead("POST", "/counter");
  const small = new RecordedStream();
  handler.onRequest(small, head, false);
  small.send(Buffer.alloc(100), false);
  assert.equal(small.head, null);
  small.send(Buffer.alloc(0), true);
  assert.equal(small.status, 405);
  assert.equal(small.resetCode, null);
  assert.equal(small.credited, 100);
  const large = new RecordedStream();
  handler.onRequest(large, head, false);
  large.send(Buffer.alloc(70_000), false);
  assert.equal(large.status, 405);
  assert.equal(large.resetCode, 0);
});

test("a silent stream of events is kept alive until it ends", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { handler, clock, inFlight, buffers } = counter({
    async *watch() {
      yield { count: 1n };
      await promise;
    },
  });
  const stream = new RecordedStream().request(
    handler,
    restHead("GET", "/v1/counter:watch", ["accept", "text/event-stream"]),
  );
  await settle();
  clock.advance(31_000);
  assert.equal(stream.body.toString(), 'data: {"count":"1"}\n\n:\n\n:\n\n');
  resolve();
  await settle();
  assert.equal(stream.ended, true);
  clock.advance(60_000);
  assert.equal(inFlight.count, 0);
  assert.equal(buffers.usedBytes, 0);
});

test("bodies in parts share the server's budget", () => {
  const { handler, buffers } = counter({}, { maxRequestBytes: 8_000_000 });
  const head = restHead("POST", "/v1/counter:count", JSON_TYPE);
  const first = new RecordedStream();
  handler.onRequest(first, head, false);
  first.send(Buffer.alloc(6_000_000), false);
  const second = new RecordedStream();
  handler.onRequest(second, head, false);
  second.send(Buffer.alloc(6_000_000), false);
  assert.equal(second.status, 429);
  assert.equal(second.json.retryable, true);
  first.cancel();
  assert.equal(buffers.usedBytes, 0);
});

test("the router sees the path that policy's rules see", () => {
  const asked: string[] = [];
  const { handler } = dispatcherUnderTest([
    service(Users, {
      getUser: ({ id }) => {
        asked.push(id);
        return { id };
      },
    }),
  ]);
  const get = (path: string): number => new RecordedStream().request(handler, restHead("GET", path)).status;
  for (const path of ["/v1/users/..", "/v1/users/%2e%2e", "/v1/users/.%2E", "/v1/users/x/../.."]) {
    assert.equal(get(path), 404, path);
  }
  assert.deepEqual(asked, []);
  for (const path of ["/v1/users/7", "/v1//users/%37", "/v1/admin/../users/7"]) assert.equal(get(path), 200, path);
  assert.deepEqual(asked, ["7", "7", "7"]);
});
