import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Head, requestHead, responseHead, trailersHead } from "../head.ts";
import type { HttpStream, RequestHandler } from "../stream.ts";
import { ErrorCode } from "./errors.ts";
import { Flag, FrameType } from "./frame.ts";
import type { Http2Stream } from "./http2-stream.ts";
import { client, feed, frame, framesOf, move, Recorder, server, settle } from "./machines.case.ts";

const POST = requestHead("POST", "http", "shop:1", "/a", ["content-type", "text/plain"]);
const GET = requestHead("GET", "http", "shop:1", "/a");
const OK = responseHead(200, ["content-type", "text/plain"]);
const DONE = trailersHead(["grpc-status", "0"]);

/** Keeps each request's stream and gives it a Recorder. */
class Requests implements RequestHandler {
  readonly streams: HttpStream[] = [];
  readonly sinks: Recorder[] = [];
  hold = false;

  onRequest(stream: HttpStream): void {
    const sink = new Recorder();
    sink.hold = this.hold;
    stream.sink = sink;
    this.streams.push(stream);
    this.sinks.push(sink);
  }
}

test("a request and its response, with heads, bodies and trailers", () => {
  const requests = new Requests();
  const s = server(requests);
  const c = client();
  const sink = new Recorder();
  const stream = c.request(POST, ["grpc-timeout", "1S"], false, sink);
  stream.sendData(Buffer.from("hello"), 0, 5, false);
  stream.sendTrailers(trailersHead(["checksum", "1"]), null);
  settle(c, s);
  assert.equal(requests.sinks[0].body, "hello");
  assert.deepEqual(requests.sinks[0].trailers?.fields, ["checksum", "1"]);
  requests.streams[0].sendHead(responseHead(103, ["link", "x"]), null, false);
  requests.streams[0].sendHead(OK, ["x-request-id", "7"], false);
  requests.streams[0].sendData(Buffer.from("world"), 0, 5, false);
  requests.streams[0].sendTrailers(DONE, null);
  settle(c, s);
  assert.deepEqual(sink.events, ["head 103", "head 200", "trailers", "end"]);
  assert.deepEqual(sink.heads[1].fields, ["content-type", "text/plain", "x-request-id", "7"]);
  assert.equal(sink.body, "world");
  assert.ok(stream.closed && requests.streams[0].closed);
  assert.equal(c.openStreams + s.openStreams, 0);
});

test("the same header bytes give the same head object", () => {
  const heads: unknown[] = [];
  const s = server({
    onRequest(stream, head) {
      heads.push(head);
      stream.sendHead(OK, null, true);
    },
  });
  const c = client();
  for (let i = 0; i < 4; i++) c.request(GET, null, true, new Recorder());
  settle(c, s);
  assert.equal(heads[2], heads[1]);
  assert.equal(heads[3], heads[1]);
});

test("responses to HEAD, 204 and 304 have no body whatever is sent", () => {
  const requests = new Requests();
  const s = server(requests);
  const c = client();
  const sinks = [requestHead("HEAD", "http", "a", "/"), GET, GET].map((head) => {
    const sink = new Recorder();
    c.request(head, null, true, sink);
    return sink;
  });
  settle(c, s);
  [200, 204, 304].forEach((status, i) => {
    requests.streams[i].sendHead(responseHead(status, status === 200 ? ["content-length", "5"] : []), null, false);
    requests.streams[i].sendData(Buffer.from("hello"), 0, 5, true);
  });
  settle(c, s);
  for (const sink of sinks) assert.deepEqual([sink.body, sink.ended, sink.failure], ["", 1, null]);
});

test("a response that is complete before its request cuts the request off, at the end of the turn", () => {
  const requests = new Requests();
  const s = server(requests);
  const c = client();
  const sink = new Recorder();
  const stream = c.request(POST, null, false, sink);
  settle(c, s);
  requests.streams[0].sendHead(OK, null, true);
  settle(c, s);
  assert.deepEqual(sink.events, ["head 200", "end", "reset reset 0"]);
  assert.deepEqual(requests.sinks[0].events, ["reset reset 0"]);
  assert.ok(stream.closed);
  // What was on its way is ignored, and other calls go on.
  const next = new Recorder();
  c.request(GET, null, true, next);
  settle(c, s);
  assert.equal(requests.streams.length, 2);
});

test("a CONNECT tunnel is not cut off when one direction ends", () => {
  const requests = new Requests();
  const s = server(requests);
  const c = client();
  const sink = new Recorder();
  const stream = c.request(requestHead("CONNECT", "", "a:1", ""), null, false, sink);
  settle(c, s);
  requests.streams[0].sendHead(responseHead(200), null, true);
  settle(c, s);
  stream.sendData(Buffer.from("more"), 0, 4, true);
  settle(c, s);
  assert.equal(requests.sinks[0].body, "more");
  assert.equal(requests.sinks[0].failure, null);
});

test("extended CONNECT is offered by the server and taken by the client", () => {
  const seen: string[] = [];
  const s = server({
    onRequest(stream, head) {
      seen.push(head.method, head.protocol, head.path);
      stream.sink = new Recorder();
      stream.sendHead(responseHead(101, ["x", "y"]), null, false);
    },
  });
  const c = client();
  assert.equal(c.extendedConnect, false);
  settle(c, s);
  assert.equal(c.extendedConnect, true);
  const sink = new Recorder();
  c.request(requestHead("GET", "http", "a", "/chat", [], "websocket"), null, false, sink);
  settle(c, s);
  assert.deepEqual(seen, ["CONNECT", "websocket", "/chat"]);
  assert.equal(sink.heads[0].status, 200);
});

test("connection invariant 1: a stream that nobody credits stops itself and no other", () => {
  const requests = new Requests();
  requests.hold = true;
  const s = server(requests, { streamWindowBytes: 70_000 });
  const c = client({ sendHighWaterBytes: 50_000 });
  settle(c, s);
  const sink = new Recorder();
  const slow = c.request(POST, null, false, sink);
  const megabyte = Buffer.alloc(1 << 20, 1);
  assert.equal(slow.sendData(megabyte, 0, megabyte.length, true), false);
  settle(c, s);
  assert.equal(requests.sinks[0].body.length, 70_000);
  assert.equal(slow.bufferedBytes, megabyte.length - 70_000);
  requests.hold = false;
  for (let i = 1; i <= 20; i++) {
    const fast = c.request(POST, null, false, new Recorder());
    fast.sendData(megabyte, 0, 200_000, true);
    settle(c, s);
    assert.equal(requests.sinks[i].body.length, 200_000);
    assert.equal(requests.sinks[i].ended, 1);
    requests.streams[i].sendHead(OK, null, true);
    settle(c, s);
  }
  // Credited at last, it goes on to its end.
  requests.sinks[0].hold = false;
  requests.streams[0].credit(70_000);
  settle(c, s);
  assert.equal(requests.sinks[0].body.length, megabyte.length);
  assert.equal(requests.sinks[0].ended, 1);
});

test("a call that is sent before the server's smaller window is known goes on when it is", () => {
  const requests = new Requests();
  const s = server(requests, { streamWindowBytes: 1_000 });
  const c = client();
  const stream = c.request(POST, null, false, new Recorder());
  stream.sendData(Buffer.alloc(30_000), 0, 30_000, true);
  settle(c, s);
  assert.equal(requests.sinks[0].body.length, 30_000);
  assert.equal(requests.sinks[0].ended, 1);
});

test("sendData answers false above the high-water mark and onWritable comes below the low one", () => {
  const requests = new Requests();
  requests.hold = true;
  const s = server(requests, { streamWindowBytes: 65_536 });
  const c = client({ sendHighWaterBytes: 100_000 });
  settle(c, s);
  const sink = new Recorder();
  const stream = c.request(POST, null, false, sink);
  const piece = Buffer.alloc(10_000, 7);
  let sent = 0;
  while (stream.sendData(piece, 0, piece.length, false)) {
    sent += piece.length;
    settle(c, s);
    assert.ok(sent < 400_000);
  }
  assert.equal(sink.writable, 0);
  requests.streams[0].credit(65_536);
  settle(c, s);
  assert.equal(sink.writable, 1);
  assert.ok(stream.bufferedBytes <= 50_000);
});

test("scheduler invariant 2: trailers wait for the body that is queued before them", () => {
  const requests = new Requests();
  const s = server(requests);
  const c = client({ streamWindowBytes: 1_000 });
  settle(c, s);
  const sink = new Recorder();
  sink.hold = true;
  const stream = c.request(GET, null, true, sink);
  settle(c, s);
  requests.streams[0].sendHead(OK, null, false);
  requests.streams[0].sendData(Buffer.alloc(2_500, 65), 0, 2_500, false);
  requests.streams[0].sendTrailers(DONE, ["grpc-message", "x"]);
  settle(c, s);
  assert.equal(sink.body.length, 1_000);
  assert.equal(sink.trailers, null);
  for (let i = 0; i < 2; i++) {
    stream.credit(1_000);
    settle(c, s);
  }
  assert.equal(sink.body.length, 2_500);
  assert.deepEqual((sink.trailers as Head | null)?.fields, ["grpc-status", "0", "grpc-message", "x"]);
});

test("scheduler invariants 1 and 3: streams with bytes waiting share the window one frame each", () => {
  const requests = new Requests();
  const s = server(requests);
  feed(
    s,
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(FrameType.settings, 0, 0, "000400100000"), // stream windows of 1 MiB
    ...[1, 3, 5].map((id) => frame(FrameType.headers, 5, id, "82 86 84 4101 61")),
  );
  for (const stream of requests.streams) {
    stream.sendHead(OK, null, false);
    stream.sendData(Buffer.alloc(200_000), 0, 200_000, true);
  }
  framesOf(s);
  feed(s, frame(FrameType.windowUpdate, 0, 0, "00018000")); // six frames' worth
  const ids = framesOf(s).map((sent) => sent.id);
  assert.equal(ids.length, 6);
  for (const id of [1, 3, 5]) assert.equal(ids.filter((other) => other === id).length, 2, ids.join());
});

test("scheduler invariant 5, output invariant 1: the output does not grow with what is sent, nor change once it is taken", () => {
  const requests = new Requests();
  const s = server(requests);
  const c = client({ streamWindowBytes: 1 << 24 });
  settle(c, s);
  c.request(GET, null, true, new Recorder());
  settle(c, s);
  requests.streams[0].sendHead(OK, null, false);
  for (let i = 0; i < 50; i++) requests.streams[0].sendData(Buffer.alloc(10_000), 0, 10_000, false);
  assert.ok(s.pendingBytes <= 131_072 + 17_000, String(s.pendingBytes));
  const taken = s.takeOutput();
  // Not yet written: nothing may be added, and the bytes that were taken stay as they are.
  const before = Buffer.from(taken);
  assert.equal(s.pendingBytes, 0);
  requests.streams[0].sendData(Buffer.alloc(1_000, 255), 0, 1_000, false);
  assert.equal(s.pendingBytes, 0);
  assert.deepEqual(Buffer.from(taken), before);
  s.written();
  assert.ok(s.pendingBytes > 0);
});

test("a peer that does not read what it makes us say is not read from", () => {
  const s = server(new Requests(), { maxAbusePer30s: 1e9 });
  const c = client();
  move(c, s);
  const pings = Buffer.concat(new Array(1_000).fill(frame(FrameType.ping, 0, 0, "0102030405060708")));
  assert.ok(s.wantsRead);
  for (let i = 0; i < 40; i++) feed(s, pings);
  assert.equal(s.wantsRead, false);
  s.takeOutput();
  assert.equal(s.wantsRead, true);
});

test("heads larger than a frame travel in CONTINUATION frames, within the limit of the reader", () => {
  const requests = new Requests();
  const s = server(requests);
  const c = client();
  const fields = Array.from({ length: 40 }, (_, i) => [`x-${i}`, "v".repeat(1_000)]).flat();
  c.request(requestHead("GET", "http", "a", "/", fields), null, true, new Recorder());
  settle(c, s);
  assert.equal(requests.streams.length, 1);
  const sink = new Recorder();
  const large = requestHead("GET", "http", "a", "/", [...fields, ...fields.map((text) => text.replace("x-", "y-"))]);
  c.request(large, null, true, sink);
  settle(c, s);
  assert.equal(requests.streams.length, 1);
  assert.deepEqual(sink.events, ["head 431", "end"]);
});

test("any split of the bytes into chunks gives the same events", () => {
  const record = (cuts: number[]): string => {
    const events: string[] = [];
    const s = server({
      onRequest(stream, head, fin) {
        const id = (stream as Http2Stream).id;
        let length = 0;
        events.push(`${id} ${head.method} ${head.path} ${head.fields.join()} ${fin}`);
        stream.sink = {
          onHead() {},
          onData(_stream, chunk, start, end, end2) {
            length += end - start;
            events.push(`${id} ${end2 ? `end ${length} ${chunk[end - 1]}` : "data"}`);
          },
          onTrailers: (_stream, trailers) => events.push(`${id} trailers ${trailers.fields.join()}`),
          onReset: (_stream, failure) => events.push(`${id} reset ${failure.code}`),
          onWritable() {},
        };
      },
    });
    const bytes = conversation();
    const borders = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
    for (let i = 1; i < borders.length; i++) {
      // A copy that is wiped afterwards: what the machine needs later it must have kept.
      const chunk = Buffer.from(bytes.subarray(borders[i - 1], borders[i]));
      s.receive(chunk, 0, chunk.length);
      chunk.fill(0xee);
    }
    return events.join("\n");
  };
  const expected = record([]);
  assert.match(expected, /trailers/);
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 60 }), (cuts) => {
      assert.equal(record(cuts), expected);
    }),
  );
  assert.equal(record(Array.from({ length: conversation().length }, (_, i) => i)), expected);
});

/** What a client says that uses most of the protocol. */
function conversation(): Buffer {
  const c = client();
  const extra = ["grpc-timeout", "1S"];
  for (let i = 0; i < 5; i++) {
    const stream = c.request(POST, i % 2 === 0 ? extra : ["traceparent", String(i)], false, new Recorder());
    stream.sendData(Buffer.alloc(3_000 * i, i), 0, 3_000 * i, i === 3);
    if (i === 1) stream.sendTrailers(DONE, null);
    if (i === 2) stream.reset(ErrorCode.cancel);
  }
  c.request(requestHead("GET", "http", "a", "/long", ["x", "y".repeat(20_000)]), null, true, new Recorder());
  return Buffer.concat([Buffer.from(c.takeOutput()), frame(FrameType.ping, 0, 0, "0000000000000000")]);
}

/** Random calls with random windows, chunk borders, credits and resets; checks that every byte arrives in order, and each end once. */
test("scheduler invariant 4, and whatever the order of events: bytes arrive in order, windows stay above zero, and each stream ends once", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("open" as const), size: fc.nat(60_000) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("send" as const), pick: fc.nat(), size: fc.nat(40_000) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), pick: fc.nat(), size: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("reset" as const), pick: fc.nat(), size: fc.nat(1) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("credit" as const), pick: fc.nat(), size: fc.nat(90_000) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant("move" as const), pick: fc.nat(1), size: fc.nat(30_000) }) },
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.constantFrom(1_000, 65_535, 262_144),
      fc.constantFrom(1_000, 65_535, 262_144),
      (steps, clientWindow, serverWindow) => {
        const world = new World(clientWindow, serverWindow);
        for (const { do: what, pick, size } of steps as { do: string; pick: number; size: number }[]) {
          if (what === "open") world.open(size);
          else if (what === "move") world.move(pick, size);
          else world.act(what, pick, size);
          world.check();
        }
        world.finish();
      },
    ),
    { numRuns: 150 },
  );
});

/** One side of a call: what it sent and got. */
class Side extends Recorder {
  stream: HttpStream | null = null;
  sent = 0;
  finSent = false;
  wasReset = false;
  uncredited = 0;
  next = 0;
  readonly seed: number;
  readonly otherSeed: number;

  constructor(seed: number, otherSeed: number) {
    super();
    this.seed = seed;
    this.otherSeed = otherSeed;
  }

  override onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    assert.equal(this.ended, 0);
    for (let i = start; i < end; i++) {
      if (chunk[i] !== pattern(this.otherSeed, this.next++)) assert.fail(`byte ${this.next - 1} is wrong`);
    }
    this.uncredited += end - start;
    if (fin) this.ended++;
  }

  send(size: number, fin: boolean): void {
    if (this.finSent || this.wasReset || this.failure !== null) return;
    const bytes = Buffer.alloc(size + 3);
    for (let i = 0; i < size; i++) bytes[i + 2] = pattern(this.seed, this.sent + i);
    this.stream?.sendData(bytes, 2, size + 2, fin);
    this.sent += size;
    this.finSent ||= fin;
  }
}

function pattern(seed: number, at: number): number {
  return (seed * 31 + at * 7 + (at >>> 8)) & 0xff;
}

class World {
  readonly clientSides: Side[] = [];
  readonly serverSides: Side[] = [];
  readonly c;
  readonly s;
  /** On the wire: [to the server, to the client]. */
  readonly wire: Buffer[] = [Buffer.alloc(0), Buffer.alloc(0)];

  constructor(clientWindow: number, serverWindow: number) {
    this.c = client({ streamWindowBytes: clientWindow, sendHighWaterBytes: 20_000, maxAbusePer30s: 1e6 });
    this.s = server(
      {
        onRequest: (stream) => {
          const n = this.serverSides.length;
          const side = new Side(n * 2 + 1, (((stream as Http2Stream).id - 1) / 2) * 2);
          side.stream = stream;
          stream.sink = side;
          this.serverSides.push(side);
          stream.sendHead(OK, null, false);
        },
      },
      { streamWindowBytes: serverWindow, sendHighWaterBytes: 20_000, maxAbusePer30s: 1e6 },
    );
    // Windows are above zero only from here on: SETTINGS may make one negative.
    settle(this.c, this.s);
  }

  open(size: number): void {
    if (this.c.available === 0) return;
    const n = this.clientSides.length;
    // The server numbers its sides in the order in which the requests arrive, which is that of their ids.
    const side = new Side(n * 2, n * 2 + 1);
    side.stream = this.c.request(POST, null, false, side);
    this.clientSides.push(side);
    side.send(size, false);
  }

  act(what: string, pick: number, size: number): void {
    const sides = [...this.clientSides, ...this.serverSides];
    if (sides.length === 0) return;
    const side = sides[pick % sides.length];
    if (what === "send") side.send(size, false);
    else if (what === "end") side.send(size, true);
    else if (what === "credit") {
      const credit = Math.min(size, side.uncredited);
      side.uncredited -= credit;
      side.stream?.credit(credit);
    } else if (!side.stream?.closed) {
      side.wasReset = true;
      side.stream?.reset(ErrorCode.cancel);
    }
  }

  move(direction: number, size: number): void {
    const [from, to] = direction === 0 ? [this.c, this.s] : [this.s, this.c];
    const bytes = Buffer.concat([this.wire[direction], Buffer.from(from.takeOutput())]);
    from.written();
    to.receive(bytes, 0, Math.min(size, bytes.length));
    this.wire[direction] = bytes.subarray(Math.min(size, bytes.length));
  }

  check(): void {
    assert.equal(this.c.wantsClose, false);
    assert.equal(this.s.wantsClose, false);
    for (const side of [...this.clientSides, ...this.serverSides]) {
      const stream = side.stream as Http2Stream;
      assert.ok(stream.sendWindow >= 0 && stream.receiveWindow >= 0);
      assert.ok(side.ended <= 1);
    }
  }

  finish(): void {
    for (const side of this.clientSides) side.send(0, true);
    for (let i = 0; i < 2_000; i++) {
      this.move(0, 1e9);
      this.move(1, 1e9);
      for (const side of this.serverSides) side.send(0, true);
      for (const side of [...this.clientSides, ...this.serverSides]) {
        side.stream?.credit(side.uncredited);
        side.uncredited = 0;
      }
      this.check();
      if (this.c.openStreams + this.s.openStreams === 0) break;
    }
    assert.equal(this.c.openStreams, 0);
    assert.equal(this.s.openStreams, 0);
    for (const [i, side] of this.clientSides.entries()) {
      const other = this.serverSides[i];
      const cut = side.wasReset || side.failure !== null || other === undefined || other.wasReset;
      if (cut || other.failure !== null) continue;
      assert.equal(other.next, side.sent);
      assert.equal(side.next, other.sent);
      assert.deepEqual([side.ended, other.ended], [1, 1]);
    }
  }
}

test("flags that a frame does not have are ignored, and unknown frames too", () => {
  const requests = new Requests();
  const s = server(requests);
  feed(
    s,
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(FrameType.settings, 0xfe, 0),
    frame(0xbb, 0xff, 1, "00112233"),
    frame(FrameType.headers, Flag.endHeaders | Flag.endStream | 0xc2, 1, "82 86 84 4101 61"),
  );
  assert.equal(requests.streams.length, 1);
  assert.equal(s.wantsClose, false);
});
