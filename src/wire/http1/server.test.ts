import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { responseHead, trailersHead } from "../head.ts";
import { DATE_LINE, type Exchange, feed, feedSplit, ServerHarness } from "./harness.case.ts";

const OK = responseHead(200, ["content-type", "text/plain"]);
const GET = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

function answer(exchange: Exchange, text = "hello"): void {
  exchange.stream.sendHead(OK, null, false);
  exchange.stream.sendData(bytes(text), 0, text.length, true);
}

test("a request's head is told with lower-case names and without connection fields, and equal heads are one object", () => {
  const server = new ServerHarness((exchange) => exchange.stream.sendHead(OK, null, true));
  const request =
    "GET /x?y=1 HTTP/1.1\r\nHost: Shop.example:80\r\nX-One:  a \t\r\nConnection: keep-alive, X-Secret\r\nX-Secret: s\r\nTE: trailers, deflate\r\nCookie: a\r\nCookie: b\r\n\r\n";
  server.feed(request).feed(request);
  assert.equal(
    server.exchanges[0].sink.events[0],
    "request GET Shop.example:80 /x?y=1 x-one|a|cookie|a|cookie|b|te|trailers",
  );
  assert.equal(server.exchanges.length, 2);
  assert.equal(server.exchanges[0].head, server.exchanges[1].head);
});

test("a response without a length is chunked to HTTP/1.1 and ends the connection to HTTP/1.0", () => {
  const modern = new ServerHarness((exchange) => answer(exchange)).feed(GET);
  assert.equal(
    modern.output,
    `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n${DATE_LINE}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
  );
  assert.equal(modern.machine.wantsClose, false);
  const old = new ServerHarness((exchange) => answer(exchange)).feed(
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  );
  assert.equal(old.output, `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n${DATE_LINE}connection: close\r\n\r\nhello`);
  assert.equal(old.machine.wantsClose, true);
});

test("HTTP/1.0 keeps the connection when it asks to and the response has a length", () => {
  const server = new ServerHarness((exchange) => exchange.stream.sendHead(OK, null, true));
  server.feed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  assert.match(server.output, /content-length: 0\r\nconnection: keep-alive\r\n\r\n$/);
  assert.equal(server.machine.wantsClose, false);
});

test("responses to HEAD, and those with 204 and 304, have no body whatever is sent", () => {
  for (const [request, status] of [
    ["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200],
    [GET, 204],
    [GET, 304],
  ] as const) {
    const server = new ServerHarness((exchange) => {
      exchange.stream.sendHead(responseHead(status, ["content-length", "5"]), null, false);
      exchange.stream.sendData(bytes("hello"), 0, 5, true);
    }).feed(request);
    assert.doesNotMatch(server.output, /hello|chunked/);
    assert.equal(server.output.includes("content-length: 5"), status !== 204);
    assert.equal(server.machine.wantsClose, false);
  }
});

test("connection: close is heeded and said", () => {
  const server = new ServerHarness((exchange) => answer(exchange)).feed(
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n",
  );
  assert.match(server.output, /connection: close\r\n/);
  assert.equal(server.machine.wantsClose, true);
});

test("pipelined requests are answered in order, though the first takes longer", () => {
  const server = new ServerHarness();
  server.feed("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.equal(server.exchanges.length, 1);
  assert.equal(server.machine.wantsRead, false, "reading stops while a request waits");
  answer(server.exchanges[0], "first");
  server.onExchange = (exchange) => answer(exchange, exchange.head.path);
  server.flush();
  assert.deepEqual([...server.output.matchAll(/first|\/2|\/3/g)].map(String), ["first", "/2", "/3"]);
  assert.equal(server.machine.wantsRead, true);
});

test("expect: 100-continue is answered once the handler wants the body, and not when it refuses", () => {
  const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  const server = new ServerHarness().feed(request);
  assert.equal(server.output, "HTTP/1.1 100 Continue\r\n\r\n");
  server.feed("ok");
  assert.equal(server.exchanges[0].sink.body, "ok");
  const refusing = new ServerHarness((exchange) => {
    exchange.stream.sendHead(responseHead(403), null, true);
    exchange.stream.reset(0);
  }).feed(request);
  assert.match(refusing.output, /^HTTP\/1\.1 403 /);
  assert.equal(refusing.machine.wantsClose, true);
});

test("trailers go out to those who take them, and are dropped for others", () => {
  for (const te of ["TE: trailers\r\n", ""]) {
    const server = new ServerHarness((exchange) => {
      exchange.stream.sendHead(OK, null, false);
      exchange.stream.sendData(bytes("x"), 0, 1, false);
      exchange.stream.sendTrailers(trailersHead(["grpc-status", "0"]), ["grpc-message", "fine"]);
    }).feed(`GET / HTTP/1.1\r\nHost: a\r\n${te}\r\n`);
    const end = te === "" ? "0\r\n\r\n" : "0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n";
    assert.ok(server.output.endsWith(`1\r\nx\r\n${end}`), server.output);
  }
});

test("a websocket upgrade carries bytes both ways after 101, and what came early is not lost", () => {
  const server = new ServerHarness();
  server.feed(
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly",
  );
  const { stream, head, sink } = server.exchanges[0];
  assert.equal(head.protocol, "websocket");
  assert.deepEqual(head.fields, ["sec-websocket-key", "k"]);
  assert.equal(sink.body, "");
  stream.sendHead(responseHead(101, ["sec-websocket-accept", "s"]), null, false);
  server.flush();
  assert.match(
    server.output,
    /^HTTP\/1\.1 101 Switching Protocols\r\nsec-websocket-accept: s\r\ndate.*\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n$/,
  );
  server.feed(" late");
  assert.equal(sink.body, "early late");
  stream.sendData(bytes("down"), 0, 4, false);
  assert.ok(server.flush().endsWith("\r\n\r\ndown"));
  server.machine.receiveEnd();
  assert.ok(sink.ended);
  stream.sendData(bytes(""), 0, 0, true);
  assert.ok(server.machine.wantsClose);
  assert.ok(stream.closed);
});

test("an upgrade that is not granted is an ordinary exchange", () => {
  const server = new ServerHarness((exchange) => answer(exchange));
  server.feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").feed(GET);
  assert.equal(server.exchanges.length, 2);
  assert.ok(server.exchanges[0].stream.closed);
});

test("an exception in a handler is the shell's to contain; fields that would split the response are refused without a trace", () => {
  const server = new ServerHarness((exchange) => {
    assert.throws(
      () => exchange.stream.sendHead(responseHead(200, ["x", "a\r\nset-cookie: b"]), null, true),
      /INVALID_FIELD|cannot be sent/,
    );
    assert.throws(() => exchange.stream.sendHead(OK, ["x y", "a"], true), /cannot be sent/);
    exchange.stream.sendHead(responseHead(500), null, true);
  }).feed(GET);
  assert.match(server.output, /^HTTP\/1\.1 500 /);
});

test("a body that is not as long as declared closes the connection", () => {
  for (const sent of ["hell", "hello!"]) {
    const server = new ServerHarness((exchange) => {
      exchange.stream.sendHead(OK, ["content-length", "5"], false);
      exchange.stream.sendData(bytes(sent), 0, sent.length, true);
    }).feed(GET);
    assert.equal(server.machine.wantsClose, true);
    assert.ok(server.exchanges[0].stream.closed);
  }
});

test("a client that takes its time over the head gets 408, however busily it sends", () => {
  const server = new ServerHarness(undefined, { headTimeoutMs: 5_000 });
  server.machine.tick(0);
  for (let second = 1; second < 10 && !server.machine.wantsClose; second++) {
    server.feed(second === 1 ? "GET / HTTP/1.1\r\n" : "X: y\r\n");
    server.machine.tick(second * 1_000);
  }
  server.flush();
  assert.equal(server.status, 408);
  assert.equal(server.machine.wantsClose, true);
});

test("a connection that sends nothing, idles, or stops in a body or in reading is given up", () => {
  const limits = { headTimeoutMs: 5_000, idleTimeoutMs: 20_000 };
  const closesAfter = (server: ServerHarness): number => {
    for (let second = 0; second < 60; second++) {
      server.machine.tick(second * 1_000);
      if (server.machine.wantsClose) return second;
    }
    return -1;
  };
  assert.equal(closesAfter(new ServerHarness(undefined, limits)), 5, "silent from the start");
  assert.equal(closesAfter(new ServerHarness((exchange) => answer(exchange), limits).feed(GET)), 20, "idle");
  const body = new ServerHarness(undefined, limits).feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
  assert.equal(closesAfter(body), 20, "body stands still");
  assert.equal(body.exchanges[0].sink.failure?.kind, "protocol");
  const stalled = new ServerHarness(undefined, limits);
  feed(stalled.machine, bytes(GET));
  answer(stalled.exchanges[0]);
  stalled.machine.takeOutput(); // and the kernel never takes it
  assert.equal(closesAfter(stalled), 20, "does not read");
  const thinking = new ServerHarness(undefined, limits).feed(GET);
  assert.equal(closesAfter(thinking), -1, "a handler may take its time");
});

test("drain answers what is under way with connection: close, and gives an idle connection a moment", () => {
  const busy = new ServerHarness().feed(GET);
  busy.machine.drain();
  answer(busy.exchanges[0]);
  assert.match(busy.flush(), /connection: close/);
  assert.ok(busy.machine.wantsClose);
  const idle = new ServerHarness((exchange) => answer(exchange)).feed(GET);
  idle.machine.drain();
  idle.machine.tick(0);
  assert.ok(!idle.machine.wantsClose);
  idle.feed(GET);
  assert.match(idle.output, /connection: close/);
  const quiet = new ServerHarness((exchange) => answer(exchange)).feed(GET);
  quiet.machine.drain();
  for (const now of [0, 100, 200, 300]) quiet.machine.tick(now);
  assert.ok(quiet.machine.wantsClose);
});

test("a half-closed client gets its answer; a request cut short is a lost stream", () => {
  const half = new ServerHarness().feed(GET);
  half.machine.receiveEnd();
  answer(half.exchanges[0]);
  assert.match(half.flush(), /hello/);
  assert.ok(half.machine.wantsClose);
  const cut = new ServerHarness().feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
  cut.machine.receiveEnd();
  assert.equal(cut.exchanges[0].sink.failure?.kind, "connection-lost");
});

test("reading stops when a window of body bytes is not credited, and sending answers false above the high-water mark", () => {
  const server = new ServerHarness(undefined, { streamWindowBytes: 1_000, sendHighWaterBytes: 1_000 });
  server.onExchange = (exchange) => {
    exchange.sink.credits = false;
  };
  server.feed(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n${"x".repeat(1_000)}`);
  assert.equal(server.machine.wantsRead, false);
  const { stream, sink } = server.exchanges[0];
  stream.credit(1);
  assert.equal(server.machine.wantsRead, true);
  stream.sendHead(OK, null, false);
  assert.equal(stream.sendData(Buffer.alloc(2_000), 0, 2_000, false), false);
  assert.ok(stream.bufferedBytes >= 2_000);
  server.machine.takeOutput();
  assert.ok(stream.bufferedBytes >= 2_000, "taken is not written");
  assert.equal(sink.writable, 0);
  server.machine.written();
  assert.equal(sink.writable, 1);
  assert.equal(stream.bufferedBytes, 0);
});

test("how the bytes are split into chunks makes no difference", () => {
  const session =
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" +
    "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\n" +
    "\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\nPUT /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
  const run = (cuts: number[]): { events: string[][]; output: string } => {
    const server = new ServerHarness((exchange) => {
      const { sink } = exchange;
      const end = sink.end.bind(sink);
      const reply = (): void => answer(exchange, `answer to ${exchange.head.path}`);
      if (sink.ended) return reply();
      sink.end = () => {
        end();
        reply();
      };
    });
    feedSplit(server.machine, bytes(session), cuts);
    server.flush();
    return { events: server.exchanges.map((exchange) => exchange.sink.events), output: server.output };
  };
  const whole = run([]);
  assert.equal(whole.events.length, 4);
  assert.ok(whole.events[1].includes("trailers x-sum|7"));
  fc.assert(fc.property(fc.array(fc.nat(1_000), { maxLength: 30 }), (cuts) => assert.deepEqual(run(cuts), whole)));
});

test("no bytes whatever make the machine throw, and it never answers more than it was asked", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "GET / HTTP/1.1\r\n",
      "Host: a\r\n",
      "\r\n",
      "POST /x HTTP/1.0\r\n",
      "Content-Length: 3\r\n",
      "abc",
      "Transfer-Encoding: chunked\r\n",
    ),
    fc.constantFrom(
      "3\r\nabc\r\n",
      "0\r\n\r\n",
      "Connection: close\r\n",
      "Connection: upgrade\r\nUpgrade: websocket\r\n",
      " ",
      "\t",
      ":",
      "\r",
      "\n",
      "\0",
    ),
    fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array).toString("latin1")),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const server = new ServerHarness((exchange) => exchange.stream.sendHead(OK, null, true));
      for (const each of pieces) server.feed(each);
      server.machine.receiveEnd();
      server.machine.transportClosed("");
      const answers = server.output.split(/HTTP\/1\.1 \d\d\d /).length - 1;
      assert.ok(answers <= server.exchanges.length + 1 + (server.output.match(/100 Continue/g)?.length ?? 0));
    }),
    { numRuns: 500 },
  );
});
