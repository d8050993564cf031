import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { requestHead, responseHead, trailersHead } from "../head.ts";
import { ClientHarness, feed, feedSplit, ServerHarness } from "./harness.case.ts";

const GET = requestHead("GET", "http", "a", "/x", ["accept", "*/*"]);
const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

test("a request is written with its host, framing and extra fields", () => {
  const client = new ClientHarness();
  client.request(GET, ["x-id", "7"]);
  assert.equal(client.flush(), "GET /x HTTP/1.1\r\nhost: a\r\naccept: */*\r\nx-id: 7\r\n\r\n");
  const post = new ClientHarness();
  const { stream } = post.request(requestHead("POST", "http", "a", "/", ["te", "trailers"]), null, false);
  stream.sendData(bytes("hello"), 0, 5, false);
  stream.sendTrailers(trailersHead(["x-sum", "5"]), null);
  assert.equal(
    post.flush(),
    "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n",
  );
  const empty = new ClientHarness();
  empty.request(requestHead("POST", "http", "a", "/"));
  assert.match(empty.flush(), /content-length: 0\r\n\r\n$/);
});

test("a connection is used again when both messages are complete, and says so once", () => {
  const client = new ClientHarness();
  for (let round = 1; round <= 3; round++) {
    const { sink, stream } = client.request(GET);
    assert.equal(client.machine.available, 0);
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nhi");
    assert.deepEqual(sink.events, ["head 200 content-length|2|x|y", "end hi"]);
    assert.ok(stream.closed);
    assert.equal(client.available, round);
  }
  assert.throws(() => {
    client.request(GET);
    client.request(GET);
  }, /takes no further request/);
});

test("equal response heads are one object", () => {
  const client = new ClientHarness();
  const heads: unknown[] = [];
  for (let round = 0; round < 2; round++) {
    const { sink } = client.request(GET);
    sink.onHead = (_stream, head) => heads.push(head);
    client.feed("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n");
  }
  assert.equal(heads[0], heads[1]);
});

const responses: [what: string, response: string, events: string[], reusable: boolean][] = [
  [
    "chunked with trailers",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n",
    ["head 200 ", "trailers x|y", "end hi"],
    true,
  ],
  [
    "interim before final",
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ["head 103 link|x", "head 200 content-length|0", "end "],
    true,
  ],
  ["no reason, no space", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ["head 200 content-length|0", "end "], true],
  [
    "connection: close",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ["head 200 content-length|0", "end "],
    false,
  ],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", ["head 200 content-length|0", "end "], false],
  [
    "HTTP/1.0 keep-alive",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    ["head 200 content-length|0", "end "],
    true,
  ],
  [
    "304 with a length",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
    ["head 304 content-length|10", "end "],
    true,
  ],
  [
    "both lengths",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ["reset protocol"],
    false,
  ],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", ["reset protocol"], false],
  ["folded", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", ["reset protocol"], false],
  ["bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", ["reset protocol"], false],
  ["HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", ["reset protocol"], false],
  ["status 99", "HTTP/1.1 099 OK\r\n\r\n", ["reset protocol"], false],
  ["status 600", "HTTP/1.1 600 OK\r\n\r\n", ["reset protocol"], false],
  [
    "101 out of the blue",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ["reset protocol"],
    false,
  ],
  [
    "too many interim ones",
    "HTTP/1.1 100 Continue\r\n\r\n".repeat(20),
    [...new Array<string>(16).fill("head 100 "), "reset protocol"],
    false,
  ],
  ["garbage", "SSH-2.0-OpenSSH\r\n\r\n", ["reset protocol"], false],
  [
    "more than was asked",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ["head 200 content-length|0", "end "],
    false,
  ],
];

for (const [what, response, events, reusable] of responses) {
  test(`response: ${what}`, () => {
    const client = new ClientHarness();
    const { sink } = client.request(GET);
    client.flush();
    client.feed(response);
    assert.deepEqual(sink.events, events);
    assert.equal(client.machine.available, reusable ? 1 : 0);
    assert.equal(client.machine.wantsClose, !reusable);
  });
}

test("a body without a length ends with the connection", () => {
  const client = new ClientHarness();
  const { sink } = client.request(GET);
  client.feed("HTTP/1.1 200 OK\r\n\r\npart one, ").feed("part two");
  assert.ok(!sink.ended);
  client.machine.receiveEnd();
  assert.deepEqual(sink.events, ["head 200 ", "end part one, part two"]);
  assert.ok(client.machine.wantsClose);
});

test("a body cut short is a lost connection", () => {
  const client = new ClientHarness();
  const { sink } = client.request(GET);
  client.feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  client.machine.receiveEnd();
  assert.equal(sink.failure?.kind, "connection-lost");
  assert.equal(sink.failure?.unprocessed, false);
});

test("a response to HEAD has no body and leaves the connection usable", () => {
  for (const fields of ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n", ""]) {
    const client = new ClientHarness();
    const { sink } = client.request(requestHead("HEAD", "http", "a", "/"));
    client.feed(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
    assert.ok(sink.ended);
    assert.equal(client.machine.available, 1);
  }
});

test("unprocessed is said only when nothing was taken for writing", () => {
  const unsent = new ClientHarness();
  const first = unsent.request(GET);
  unsent.machine.transportClosed("reset");
  assert.equal(first.sink.failure?.unprocessed, true);
  const sent = new ClientHarness();
  const second = sent.request(GET);
  sent.flush();
  sent.machine.transportClosed("reset");
  assert.equal(second.sink.failure?.unprocessed, false);
  assert.equal(second.sink.failure?.kind, "connection-lost");
});

test("an early response leaves the request to its owner, and the connection usable once that is complete", () => {
  const client = new ClientHarness();
  const { stream, sink } = client.request(requestHead("POST", "http", "a", "/"), null, false);
  client.feed("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  assert.ok(sink.ended && !stream.closed);
  assert.equal(client.machine.available, 0);
  stream.sendData(bytes("x"), 0, 1, true);
  assert.ok(stream.closed);
  assert.equal(client.available, 1);
  const closed = new ClientHarness();
  const late = closed.request(requestHead("POST", "http", "a", "/"), null, false);
  closed.feed("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  closed.machine.receiveEnd();
  assert.equal(late.sink.failure?.kind, "reset");
});

test("an idle connection closes by our time-out, or before the server's own", () => {
  const silent = new ClientHarness({ idleTimeoutMs: 20_000 });
  const hinted = new ClientHarness({ idleTimeoutMs: 20_000 });
  hinted.request(GET);
  hinted.feed("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 0\r\n\r\n");
  const closedAt: number[] = [];
  for (const client of [silent, hinted]) {
    for (let second = 0; second < 30 && !client.machine.wantsClose; second++) {
      client.machine.tick(second * 1_000);
      if (client.machine.wantsClose) closedAt.push(second);
    }
  }
  assert.deepEqual(closedAt, [20, 4]);
});

test("a websocket upgrade turns into bytes both ways", () => {
  const client = new ClientHarness();
  const { stream, sink } = client.request(
    requestHead("GET", "http", "a", "/chat", ["sec-websocket-key", "k"], "websocket"),
    null,
    false,
  );
  assert.equal(
    client.flush(),
    "GET /chat HTTP/1.1\r\nhost: a\r\nsec-websocket-key: k\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  );
  assert.equal(stream.sendData(bytes("early "), 0, 6, false), true, "kept until the server has switched");
  client.feed(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s\r\n\r\nhello",
  );
  assert.equal(sink.body, "hello");
  stream.sendData(bytes("up"), 0, 2, false);
  assert.ok(client.flush().endsWith("\r\n\r\nearly up"));
  stream.sendData(bytes(""), 0, 0, true);
  assert.ok(client.machine.wantsClose);
  client.machine.transportClosed("");
  assert.ok(sink.ended);
});

test("client machine and server machine understand each other, however the bytes are split", () => {
  const text = fc.string({ maxLength: 200 }).map((value) => Buffer.from(value, "utf8"));
  fc.assert(
    fc.property(
      fc.record({
        body: fc.array(text, { maxLength: 4 }),
        answer: fc.array(text, { maxLength: 4 }),
        sized: fc.boolean(),
        trailers: fc.boolean(),
        cuts: fc.array(fc.nat(3_000), { maxLength: 12 }),
        value: fc.stringMatching(/^[!-~]([ -~\t]*[!-~])?$/),
      }),
      ({ body, answer, sized, trailers, cuts, value }) => {
        const client = new ClientHarness();
        const server = new ServerHarness();
        const whole = Buffer.concat(body);
        const length = sized ? ["content-length", String(whole.length)] : [];
        const { stream, sink } = client.request(
          requestHead("POST", "http", "a", "/", ["x-v", value, "te", "trailers"]),
          length,
          false,
        );
        for (const part of body) stream.sendData(part, 0, part.length, false);
        if (trailers && !sized) stream.sendTrailers(trailersHead(["x-t", value]), null);
        else stream.sendData(bytes(""), 0, 0, true);
        client.flush();
        feedSplit(server.machine, bytes(client.output), cuts);
        const exchange = server.exchanges[0];
        assert.equal(exchange.sink.body, whole.toString("latin1"));
        assert.equal(exchange.sink.events.includes(`trailers x-t|${value}`), trailers && !sized);
        exchange.stream.sendHead(responseHead(200, ["x-v", value]), null, false);
        for (const part of answer) exchange.stream.sendData(part, 0, part.length, false);
        exchange.stream.sendTrailers(trailersHead(["x-e", value]), null);
        feedSplit(client.machine, bytes(server.flush()), cuts);
        assert.equal(sink.body, Buffer.concat(answer).toString("latin1"));
        assert.ok(
          sink.events.includes(`trailers x-e|${value}`) && sink.ended && stream.closed && exchange.stream.closed,
        );
        assert.equal(client.machine.available, 1);
      },
    ),
    { numRuns: 200 },
  );
});

test("no bytes whatever make the machine throw, and a stream ends once", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.constantFrom(
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "Content-Length: 3\r\n",
            "\r\n",
            "abc",
            "Transfer-Encoding: chunked\r\n",
          ),
          fc.constantFrom("3\r\nabc\r\n", "0\r\n\r\n", "\r", "\n", "\0", "HTTP/1.0 204 X\r\n\r\n"),
          fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array).toString("latin1")),
        ),
        { maxLength: 20 },
      ),
      (pieces) => {
        const client = new ClientHarness();
        const { sink } = client.request(GET);
        client.flush();
        for (const piece of pieces) feed(client.machine, bytes(piece));
        client.machine.receiveEnd();
        client.machine.transportClosed("");
        assert.equal(sink.events.filter((event) => /^(end|reset)/.test(event)).length, 1);
      },
    ),
    { numRuns: 500 },
  );
});
