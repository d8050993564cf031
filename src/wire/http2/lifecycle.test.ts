import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../../core/errors.ts";
import { requestHead, responseHead } from "../head.ts";
import type { HttpStream, StreamFailure } from "../stream.ts";
import { ErrorCode } from "./errors.ts";
import { FrameType } from "./frame.ts";
import { client, feed, frame, framesOf, move, Recorder, server, settle } from "./machines.case.ts";

const GET = requestHead("GET", "http", "shop:1", "/a");
const POST = requestHead("POST", "http", "shop:1", "/a");
const OK = responseHead(200);

function keeper(): { streams: HttpStream[]; sinks: Recorder[]; onRequest(stream: HttpStream): void } {
  const streams: HttpStream[] = [];
  const sinks: Recorder[] = [];
  return {
    streams,
    sinks,
    onRequest(stream) {
      const sink = new Recorder();
      stream.sink = sink;
      streams.push(stream);
      sinks.push(sink);
    },
  };
}

test("server drain, invariant 1: a request that is on its way when the drain begins is served", () => {
  const requests = keeper();
  const s = server(requests);
  const c = client();
  settle(c, s);
  const sink = new Recorder();
  c.request(GET, null, true, sink);
  const onItsWay = Buffer.from(c.takeOutput());
  c.written();
  s.drain();
  s.receive(onItsWay, 0, onItsWay.length);
  assert.equal(requests.streams.length, 1);
  settle(c, s);
  assert.equal(c.available, 0);
  assert.equal(s.wantsClose, false);
  requests.streams[0].sendHead(OK, null, true);
  settle(c, s);
  assert.deepEqual(sink.events, ["head 200", "end"]);
  assert.ok(s.wantsClose && c.wantsClose);
});

test("server drain, invariant 2: a request above the last id is refused, unprocessed", () => {
  const requests = keeper();
  const s = server(requests);
  const c = client();
  settle(c, s);
  c.request(GET, null, true, new Recorder());
  settle(c, s);
  s.drain();
  s.tick(0);
  s.tick(1_500); // the peer did not answer the ping in time
  const goaways = Buffer.from(s.takeOutput());
  s.written();
  const sink = new Recorder();
  c.request(GET, null, true, sink);
  move(c, s);
  assert.equal(requests.streams.length, 1);
  c.receive(goaways, 0, goaways.length);
  assert.deepEqual([sink.failure?.kind, sink.failure?.unprocessed], ["refused", true]);
  requests.streams[0].sendHead(OK, null, true);
  settle(c, s);
  assert.ok(s.wantsClose);
});

test("an idle server that drains closes when the client has heard of it", () => {
  const s = server(keeper());
  const c = client();
  settle(c, s);
  s.drain();
  assert.equal(s.wantsClose, false);
  settle(c, s);
  assert.ok(s.wantsClose && c.wantsClose);
});

test("client drain: what is open goes on, then it says goodbye", () => {
  const requests = keeper();
  const s = server(requests);
  const c = client();
  const sink = new Recorder();
  c.request(GET, null, true, sink);
  settle(c, s);
  c.drain();
  assert.equal(c.available, 0);
  assert.equal(c.wantsClose, false);
  requests.streams[0].sendHead(OK, null, true);
  settle(c, s);
  assert.equal(sink.ended, 1);
  assert.ok(c.wantsClose && s.wantsClose);
});

test("client, invariant 1: GOAWAY, REFUSED_STREAM and what was never written are unprocessed; the rest is not", () => {
  const c = client();
  feed(c, frame(FrameType.settings, 0, 0));
  const sinks = Array.from({ length: 4 }, () => new Recorder());
  for (const sink of sinks.slice(0, 3)) c.request(GET, null, true, sink);
  framesOf(c);
  feed(c, frame(FrameType.rstStream, 0, 1, "00000007"));
  feed(c, frame(FrameType.goaway, 0, 0, "00000003 0000000b 746f6f"));
  assert.deepEqual([sinks[0].failure?.kind, sinks[0].failure?.unprocessed], ["refused", true]);
  assert.deepEqual([sinks[2].failure?.kind, sinks[2].failure?.unprocessed], ["refused", true]);
  assert.match(sinks[2].failure?.message ?? "", /ENHANCE_YOUR_CALM \(too\)/);
  assert.equal(sinks[1].failure, null);
  c.transportClosed("ECONNRESET");
  const lost: StreamFailure | null = sinks[1].failure as StreamFailure | null;
  assert.deepEqual([lost?.kind, lost?.unprocessed], ["connection-lost", false]);

  const other = client();
  const written = new Recorder();
  const unwritten = new Recorder();
  other.request(GET, null, true, written);
  other.takeOutput();
  other.request(GET, null, true, unwritten);
  other.transportClosed("ECONNREFUSED");
  assert.equal(written.failure?.unprocessed, false);
  assert.equal(unwritten.failure?.unprocessed, true);
});

test("client, invariant 2: it opens no more streams than the server allows, and says when it may again", () => {
  const requests = keeper();
  const s = server(requests, { maxConcurrentStreams: 2 });
  let told = 0;
  const c = client({}, { onAvailable: () => told++ });
  settle(c, s);
  assert.equal(c.available, 2);
  c.request(GET, null, true, new Recorder());
  c.request(GET, null, true, new Recorder());
  assert.equal(c.available, 0);
  assert.throws(
    () => c.request(GET, null, true, new Recorder()),
    (thrown: unknown) => thrown instanceof WeftError && thrown.code === "unavailable",
  );
  settle(c, s);
  assert.equal(told, 0);
  requests.streams[0].sendHead(OK, null, true);
  settle(c, s);
  assert.equal(told, 1);
  assert.equal(c.available, 1);
});

test("core invariant 1: every owner hears of the connection's end once, and nothing after it", () => {
  const requests = keeper();
  const s = server(requests);
  const c = client();
  const sinks = [new Recorder(), new Recorder(), new Recorder()];
  const streams = sinks.map((sink) => c.request(POST, null, false, sink));
  settle(c, s);
  requests.streams[0].reset(ErrorCode.internalError);
  streams[1].reset(ErrorCode.cancel);
  settle(c, s);
  c.transportClosed("reset by peer");
  s.close();
  s.transportClosed("");
  for (const stream of [...streams, ...requests.streams]) {
    stream.sendData(Buffer.alloc(1), 0, 1, true);
    stream.credit(5);
    stream.reset(0);
    assert.ok(stream.closed);
  }
  assert.deepEqual(
    sinks.map((sink) => sink.events),
    [["reset reset 2"], [], ["reset connection-lost 0"]],
  );
  assert.deepEqual(
    requests.sinks.map((sink) => sink.events),
    [[], ["reset reset 8"], ["reset connection-lost 0"]],
  );
});

test("an upgrade is not sent to a server that has said it takes none", () => {
  const c = client();
  const chat = requestHead("GET", "http", "a", "/chat", [], "websocket");
  c.request(chat, null, false, new Recorder());
  feed(c, frame(FrameType.settings, 0, 0));
  const isUnsupported = (thrown: unknown) =>
    thrown instanceof WeftError && thrown.reason === "EXTENDED_CONNECT_UNSUPPORTED";
  assert.throws(() => c.request(chat, null, false, new Recorder()), isUnsupported);
  assert.equal(c.openStreams, 1);
});

test("a field that must not be sent leaves the connection as it was", () => {
  const requests = keeper();
  const s = server(requests);
  const c = client();
  assert.throws(() => c.request(GET, ["x", "a\nb"], true, new Recorder()), WeftError);
  assert.equal(c.openStreams, 0);
  const sink = new Recorder();
  c.request(GET, null, true, sink);
  settle(c, s);
  assert.throws(() => requests.streams[0].sendHead(responseHead(200, ["x", "a\0"]), null, true), WeftError);
  requests.streams[0].sendHead(OK, null, true);
  settle(c, s);
  assert.deepEqual(sink.events, ["head 200", "end"]);
});

test("a request without a sink is not left open", () => {
  const s = server({ onRequest() {} });
  const c = client();
  const sink = new Recorder();
  c.request(GET, null, true, sink);
  settle(c, s);
  assert.deepEqual(sink.events, ["reset reset 2"]);
});

test("a client that half-closes still gets the answers to what it asked in full", () => {
  const requests = keeper();
  const s = server(requests);
  const c = client();
  const sink = new Recorder();
  c.request(GET, null, true, sink);
  c.request(POST, null, false, new Recorder());
  settle(c, s);
  s.receiveEnd();
  assert.deepEqual(requests.sinks[1].events, ["reset connection-lost 0"]);
  assert.equal(s.wantsClose, false);
  requests.streams[0].sendHead(OK, null, true);
  assert.equal(s.wantsClose, true);
  move(s, c);
  assert.equal(sink.ended, 1);
});

test("time-outs: no preface, no SETTINGS, no ACK, an unfinished header block", () => {
  const silent = server(keeper());
  silent.tick(0);
  silent.tick(9_000);
  assert.equal(silent.wantsClose, false);
  silent.tick(10_000);
  assert.equal(silent.wantsClose, true);

  const unacknowledged = server(keeper());
  feed(unacknowledged, Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0));
  unacknowledged.tick(0);
  unacknowledged.tick(10_000);
  assert.equal(framesOf(unacknowledged).at(-1)?.payload.readUInt32BE(4), ErrorCode.settingsTimeout);

  const slow = server(keeper());
  const c = client();
  settle(c, slow);
  slow.tick(0);
  slow.tick(100_000);
  assert.equal(slow.wantsClose, false);
  feed(slow, frame(FrameType.headers, 0, 1, "82"));
  slow.tick(101_000);
  slow.tick(111_000);
  assert.equal(framesOf(slow).at(-1)?.payload.readUInt32BE(4), ErrorCode.enhanceYourCalm);
});

test("a connection without streams drains after the idle time, one with a stream does not", () => {
  const requests = keeper();
  const s = server(requests, { idleTimeoutHttp2Ms: 60_000, silenceTimeoutMs: 1_000_000 });
  const c = client();
  c.request(GET, null, true, new Recorder());
  settle(c, s);
  for (let now = 0; now < 200_000; now += 1_000) s.tick(now);
  assert.equal(s.pendingBytes, 0);
  requests.streams[0].sendHead(OK, null, true);
  settle(c, s);
  s.tick(200_000);
  s.tick(259_000);
  assert.equal(s.pendingBytes, 0);
  s.tick(260_000);
  settle(c, s);
  assert.ok(s.wantsClose && c.wantsClose);
});

test("keepalive: off by default; when on, silence is answered or the connection fails", () => {
  const quiet = client();
  quiet.request(GET, null, true, new Recorder());
  framesOf(quiet);
  feed(quiet, frame(4, 0, 0), frame(4, 1, 0));
  framesOf(quiet);
  for (let now = 0; now < 100_000; now += 1_000) quiet.tick(now);
  assert.equal(quiet.pendingBytes, 0);

  const c = client({}, { keepalive: { intervalMs: 10_000, timeoutMs: 5_000 } });
  const sink = new Recorder();
  c.request(GET, null, true, sink);
  framesOf(c);
  feed(c, frame(4, 0, 0), frame(4, 1, 0));
  framesOf(c);
  c.tick(0);
  c.tick(9_000);
  assert.equal(c.pendingBytes, 0);
  c.tick(10_000);
  const [ping] = framesOf(c);
  assert.equal(ping.type, FrameType.ping);
  feed(c, frame(FrameType.ping, 1, 0, ping.payload));
  c.tick(11_000);
  c.tick(20_000);
  assert.equal(c.pendingBytes, 0);
  c.tick(21_000);
  assert.equal(framesOf(c)[0].type, FrameType.ping);
  c.tick(26_000);
  assert.equal(c.wantsClose, true);
  assert.equal(sink.failure?.kind, "connection-lost");
});

test("a client with a stream open that gives no sign of life is asked for one, and cut without", () => {
  const requests = keeper();
  const s = server(requests, { silenceTimeoutMs: 20_000 });
  const c = client();
  c.request(GET, null, true, new Recorder());
  settle(c, s);
  const sink = new Recorder();
  requests.streams[0].sink = sink;
  s.tick(0);
  s.tick(9_000);
  assert.equal(s.pendingBytes, 0);
  s.tick(10_000);
  settle(c, s); // answers
  s.tick(11_000);
  s.tick(20_000);
  assert.equal(s.pendingBytes, 0);
  s.tick(21_000);
  assert.equal(framesOf(s)[0].type, FrameType.ping);
  s.tick(30_000);
  assert.equal(s.wantsClose, false);
  s.tick(31_000);
  assert.equal(s.wantsClose, true);
  assert.equal(sink.failure?.kind, "connection-lost");
});

test("a connection without streams is not asked for a sign of life", () => {
  const s = server(keeper(), { silenceTimeoutMs: 20_000 });
  settle(client(), s);
  for (let now = 0; now < 100_000; now += 1_000) s.tick(now);
  assert.equal(s.pendingBytes, 0);
});

test("a peer that makes its HPACK table smaller is told so before the next block", () => {
  const s = server({ onRequest: (stream) => stream.sendHead(OK, null, true) });
  feed(
    s,
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(4, 0, 0, "000100000000"),
    frame(FrameType.headers, 5, 1, "82 86 84 4101 61"),
    frame(FrameType.headers, 5, 3, "82 86 84 4101 61"),
  );
  const blocks = framesOf(s).filter(({ type }) => type === FrameType.headers);
  assert.deepEqual(
    blocks.map(({ payload }) => payload.toString("hex")),
    ["2088", "88"],
  );
});

test("output invariant 2: a connection with nothing to write holds no block", () => {
  const s = server({ onRequest: (stream) => stream.sendHead(OK, null, true) });
  const c = client();
  for (let i = 0; i < 100; i++) c.request(GET, null, true, new Recorder());
  settle(c, s);
  for (const machine of [c, s]) {
    const output = (machine as unknown as { writer: { output: { bytes: Buffer } } }).writer.output;
    assert.equal(output.bytes.length, 0);
  }
});
