import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { requestHead, responseHead } from "../head.ts";
import type { ConnectionLimits } from "../limits.ts";
import type { HttpStream } from "../stream.ts";
import { ErrorCode, errorCodeName } from "./errors.ts";
import { Flag, FrameType } from "./frame.ts";
import { client, feed, frame, framesOf, Recorder, server } from "./machines.case.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const SETTINGS = frame(FrameType.settings, 0, 0);
/** GET / to "a". */
const GET = "82 86 84 4101 61";
const END = Flag.endHeaders | Flag.endStream;
const HEADERS = FrameType.headers;

function get(id: number): Buffer {
  return frame(HEADERS, END, id, GET);
}

function post(id: number, extra = ""): Buffer {
  return frame(HEADERS, Flag.endHeaders, id, `83 86 84 4101 61 ${extra}`);
}

/** "goaway CODE", "rst ID CODE" and statuses of what a server says to these frames. */
function answer(parts: Buffer[], limits: Partial<ConnectionLimits> = {}): string[] {
  const s = server(
    {
      onRequest(stream, _head, fin) {
        const sink = new Recorder();
        sink.onData = (_stream, _chunk, start, end, end2) => {
          stream.credit(end - start);
          if (end2) stream.sendHead(responseHead(200), null, true);
        };
        stream.sink = sink;
        if (fin) stream.sendHead(responseHead(200), null, true);
      },
    },
    limits,
  );
  framesOf(s);
  feed(s, PREFACE, SETTINGS, ...parts);
  const said = framesOf(s).flatMap(({ type, id, payload }) => {
    if (type === FrameType.goaway) return [`goaway ${errorCodeName(payload.readUInt32BE(4))}`];
    if (type === FrameType.rstStream) return [`rst ${id} ${errorCodeName(payload.readUInt32BE(0))}`];
    if (type === HEADERS) return [`head ${id} ${payload[0] === 0x88 ? 200 : payload.toString("latin1", 2, 5)}`];
    return [];
  });
  assert.equal(
    s.wantsClose,
    said.some((line) => line.startsWith("goaway")),
  );
  if (s.wantsClose) {
    assert.equal(s.openStreams, 0);
    feed(s, get(99)); // nothing more is read
    assert.equal(s.pendingBytes, 0);
  }
  return said;
}

/** Literal field without indexing, as hex. */
function field(name: string, value: string): string {
  const lengths = [name.length, value.length].map((length) => length.toString(16).padStart(2, "0"));
  return `00 ${lengths[0]} ${Buffer.from(name, "latin1").toString("hex")} ${lengths[1]} ${Buffer.from(value, "latin1").toString("hex")}`;
}

const malformed = ["rst 1 PROTOCOL_ERROR"];
const heads: Record<string, string> = {
  "no :method": "86 84 4101 61",
  "no :path": "82 86 4101 61",
  "no :scheme": "82 84 4101 61",
  "no authority and no host": "82 86 84",
  "two :path": "82 86 84 84 4101 61",
  "a pseudo-header after a field": `82 86 84 ${field("x", "y")} 4101 61`,
  "a response's pseudo-header": `${GET} 88`,
  "an unknown pseudo-header": `${GET} ${field(":x", "y")}`,
  "an upper-case name": `${GET} ${field("X", "y")}`,
  connection: `${GET} ${field("connection", "close")}`,
  "transfer-encoding": `${GET} ${field("transfer-encoding", "chunked")}`,
  "te other than trailers": `${GET} ${field("te", "gzip")}`,
  "a line feed in a value": `${GET} ${field("x", "a\nb")}`,
  "a NUL in a value": `${GET} ${field("x", "a\0")}`,
  "white space around a value": `${GET} ${field("x", " a")}`,
  "a space in the path": `82 86 ${field(":path", "/a b")} 4101 61`,
  "a path that is not one": `82 86 ${field(":path", "a")} 4101 61`,
  "a fragment in the path": `82 86 ${field(":path", "/a#b")} 4101 61`,
  "user information": `82 86 84 ${field(":authority", "u@a")}`,
  "host that contradicts :authority": `${GET} ${field("host", "b")}`,
  "two content-lengths": `${GET} ${field("content-length", "0")} ${field("content-length", "0")}`,
  "a content-length that is no number": `${GET} ${field("content-length", "+1")}`,
  "a content-length with no body": `${GET} ${field("content-length", "1")}`,
  "CONNECT with a path": `${field(":method", "CONNECT")} 84 4101 61`,
  ":protocol without CONNECT": `${GET.replace("4101 61", "")} ${field(":protocol", "websocket")} 4101 61`,
  "a method that is no token": `86 84 4101 61 ${field(":method", "G(T")}`,
};
for (const [what, block] of Object.entries(heads)) {
  test(`a request with ${what} is malformed: that stream is reset and others go on`, () => {
    assert.deepEqual(answer([frame(HEADERS, END, 1, block), get(3)]), [...malformed, "head 3 200"]);
  });
}

const connections: Record<string, [code: keyof typeof ErrorCode, frames: Buffer[]]> = {
  "DATA on stream 0": ["protocolError", [frame(0, 0, 0, "00")]],
  "DATA on an idle stream": ["protocolError", [frame(0, 0, 1, "00")]],
  "DATA on a closed stream": ["streamClosed", [get(1), frame(0, 0, 1, "00")]],
  "padding longer than the frame": ["protocolError", [post(1), frame(0, Flag.padded, 1, "0500")]],
  "padding without its length": ["protocolError", [post(1), frame(0, Flag.padded, 1)]],
  "HEADERS on stream 0": ["protocolError", [get(0)]],
  "HEADERS on an even stream": ["protocolError", [get(2)]],
  "HEADERS on a stream that was passed over": ["protocolError", [get(5), get(3)]],
  "HEADERS on a closed stream": ["streamClosed", [get(1), get(1)]],
  "HEADERS too short for its priority": ["frameSizeError", [frame(HEADERS, END | Flag.priority, 1, "00")]],
  "another frame within a header block": [
    "protocolError",
    [frame(HEADERS, Flag.endStream, 1, GET), frame(6, 0, 0, "0011223344556677")],
  ],
  "CONTINUATION of another stream": ["protocolError", [frame(HEADERS, Flag.endStream, 1, GET), frame(9, 4, 3)]],
  "CONTINUATION without HEADERS": ["protocolError", [frame(9, 4, 1)]],
  "a header block that does not decode": ["compressionError", [frame(HEADERS, END, 1, "80")]],
  "trailers that do not decode": ["compressionError", [post(1), frame(HEADERS, END, 1, "80")]],
  PUSH_PROMISE: ["protocolError", [frame(5, 4, 1, "00000002")]],
  "RST_STREAM on an idle stream": ["protocolError", [frame(3, 0, 1, "00000000")]],
  "RST_STREAM on stream 0": ["protocolError", [frame(3, 0, 0, "00000000")]],
  "RST_STREAM of 3 bytes": ["frameSizeError", [get(1), frame(3, 0, 1, "000000")]],
  "PING of 7 bytes": ["frameSizeError", [frame(6, 0, 0, "00112233445566")]],
  "PING on a stream": ["protocolError", [frame(6, 0, 1, "0011223344556677")]],
  "SETTINGS on a stream": ["protocolError", [frame(4, 0, 1)]],
  "SETTINGS of 5 bytes": ["frameSizeError", [frame(4, 0, 0, "0001000000")]],
  "SETTINGS ACK with payload": ["frameSizeError", [frame(4, 1, 0, "000100000000")]],
  "ENABLE_PUSH 2": ["protocolError", [frame(4, 0, 0, "000200000002")]],
  "a window of 2^31": ["flowControlError", [frame(4, 0, 0, "000480000000")]],
  "MAX_FRAME_SIZE of 16,383": ["protocolError", [frame(4, 0, 0, "000500003fff")]],
  "WINDOW_UPDATE by 0": ["protocolError", [frame(8, 0, 0, "00000000")]],
  "WINDOW_UPDATE of 3 bytes": ["frameSizeError", [frame(8, 0, 0, "000001")]],
  "WINDOW_UPDATE on an idle stream": ["protocolError", [frame(8, 0, 1, "00000001")]],
  "a connection window above 2^31-1": ["flowControlError", [frame(8, 0, 0, "7fffffff")]],
  "a stream window above 2^31-1 by SETTINGS": [
    "flowControlError",
    [post(1), frame(8, 0, 1, "7fff0000"), frame(4, 0, 0, "00047fffffff")],
  ],
  "GOAWAY on a stream": ["protocolError", [frame(7, 0, 1, "0000000000000000")]],
  "GOAWAY of 7 bytes": ["frameSizeError", [frame(7, 0, 0, "00000000000000")]],
  "a frame that is too long": ["frameSizeError", [Buffer.from("004001000000000001", "hex")]],
  "PRIORITY on itself": ["protocolError", [frame(2, 0, 1, "0000000110")]],
};
for (const [what, [code, frames]] of Object.entries(connections)) {
  test(`core invariant 2: ${what} is a connection error, after which nothing is read`, () => {
    assert.equal(answer(frames).at(-1), `goaway ${errorCodeName(ErrorCode[code])}`);
  });
}

const streams: Record<string, [said: string, frames: Buffer[]]> = {
  "DATA after END_STREAM": [
    "rst 1 STREAM_CLOSED",
    [frame(HEADERS, END, 1, `83 ${GET.slice(3)}`), frame(0, 0, 1, "00")],
  ],
  "more body than content-length": [
    "rst 1 PROTOCOL_ERROR",
    [post(1, field("content-length", "1")), frame(0, 0, 1, "0000")],
  ],
  "less body than content-length": [
    "rst 1 PROTOCOL_ERROR",
    [post(1, field("content-length", "3")), frame(0, 1, 1, "0000")],
  ],
  "trailers before the promised body": [
    "rst 1 PROTOCOL_ERROR",
    [post(1, field("content-length", "3")), frame(HEADERS, END, 1, field("x", "y"))],
  ],
  "trailers without END_STREAM": ["rst 1 PROTOCOL_ERROR", [post(1), frame(HEADERS, 4, 1, field("x", "y"))]],
  "a pseudo-header in trailers": ["rst 1 PROTOCOL_ERROR", [post(1), frame(HEADERS, END, 1, "82")]],
  "WINDOW_UPDATE by 0": ["rst 1 PROTOCOL_ERROR", [post(1), frame(8, 0, 1, "00000000")]],
  "a stream window above 2^31-1": ["rst 1 FLOW_CONTROL_ERROR", [post(1), frame(8, 0, 1, "7fffffff")]],
  "PRIORITY of 4 bytes": ["rst 1 FRAME_SIZE_ERROR", [post(1), frame(2, 0, 1, "00000000")]],
  "HEADERS that depends on itself": [
    "rst 1 PROTOCOL_ERROR",
    [frame(HEADERS, END | Flag.priority, 1, `00000001 10 ${GET}`)],
  ],
};
for (const [what, [said, frames]] of Object.entries(streams)) {
  test(`${what} is a stream error, and others go on`, () => {
    // The first stream is not answered in these cases, except where it must be open for its second half.
    const s = server({
      onRequest(stream: HttpStream) {
        stream.sink = new Recorder();
        if ((stream as unknown as { id: number }).id === 3) stream.sendHead(responseHead(200), null, true);
      },
    });
    framesOf(s);
    feed(s, PREFACE, SETTINGS, ...frames, get(3));
    const lines = framesOf(s).flatMap(({ type, id, payload }) => {
      if (type === FrameType.rstStream) return [`rst ${id} ${errorCodeName(payload.readUInt32BE(0))}`];
      return type === HEADERS ? [`head ${id}`] : [];
    });
    assert.deepEqual(lines, [said, "head 3"]);
    assert.equal(s.wantsClose, false);
  });
}

test("connection invariant 2: what was on its way to a stream that we reset is ignored", () => {
  const said = answer([
    frame(HEADERS, Flag.endHeaders, 1, "83 84 4101 61"), // malformed: reset
    frame(0, 0, 1, "001122"),
    frame(HEADERS, END, 1, field("x", "y")),
    frame(8, 0, 1, "00000001"),
    frame(3, 0, 1, "00000008"),
    get(3),
  ]);
  assert.deepEqual(said, [...malformed, "head 3 200"]);
});

test("more DATA than a window allows is a flow-control error", () => {
  const piece = Buffer.alloc(16_000);
  const s = server({ onRequest: (stream) => void (stream.sink = holding()) }, { streamWindowBytes: 65_535 });
  framesOf(s);
  feed(s, PREFACE, SETTINGS, post(1), ...new Array(5).fill(frame(0, 0, 1, piece)));
  const rst = framesOf(s).find(({ type }) => type === FrameType.rstStream);
  assert.equal(rst?.payload.readUInt32BE(0), ErrorCode.flowControlError);
});

function holding(): Recorder {
  const sink = new Recorder();
  sink.hold = true;
  return sink;
}

test("core invariant 3: streams over the limit are refused, unprocessed", () => {
  const s = server({ onRequest: (stream) => void (stream.sink = new Recorder()) }, { maxConcurrentStreams: 2 });
  framesOf(s);
  feed(s, PREFACE, SETTINGS, get(1), get(3), get(5));
  assert.deepEqual(
    framesOf(s)
      .filter(({ type }) => type === FrameType.rstStream)
      .map(({ id, payload }) => [id, payload[3]]),
    [[5, ErrorCode.refusedStream]],
  );
  assert.equal(s.openStreams, 2);
});

const floods: Record<string, (i: number) => Buffer[]> = {
  "rapid reset": (i) => [get(i * 2 + 1), frame(3, 0, i * 2 + 1, "00000008")],
  pings: () => [frame(6, 0, 0, "0011223344556677")],
  settings: () => [SETTINGS],
  "empty DATA": (i) => [...(i === 0 ? [post(1)] : []), frame(0, 0, 1)],
  priorities: (i) => [...(i === 0 ? [post(1)] : []), frame(2, 0, 1, "0000000310")],
  "window updates": () => [frame(8, 0, 0, "00000001")],
  "malformed requests": (i) => [frame(HEADERS, END, i * 2 + 1, "82")],
  "unknown frames": () => [frame(77, 0, 0)],
  "empty CONTINUATION": (i) => (i === 0 ? [frame(HEADERS, 0, 1, GET)] : [frame(9, 0, 1)]),
};
for (const [what, flood] of Object.entries(floods)) {
  test(`a flood of ${what} ends the connection`, () => {
    const s = server({ onRequest: (stream) => void (stream.sink = new Recorder()) }, { maxAbusePer30s: 50 });
    framesOf(s);
    feed(s, PREFACE, SETTINGS);
    let sent = 0;
    while (!s.wantsClose && sent < 1_000) feed(s, ...flood(sent++));
    assert.ok(sent > 40 && sent < 120, String(sent));
    const last = framesOf(s).at(-1);
    assert.deepEqual([last?.type, last?.payload.readUInt32BE(4)], [FrameType.goaway, ErrorCode.enhanceYourCalm]);
  });
}

test("work that is done explains pings, and time forgives", () => {
  const s = server({ onRequest: (stream) => stream.sendHead(responseHead(200), null, true) }, { maxAbusePer30s: 20 });
  feed(s, PREFACE, SETTINGS, frame(FrameType.settings, Flag.ack, 0));
  for (let i = 0; i < 500; i++) feed(s, get(i * 2 + 1), frame(6, 0, 0, "0011223344556677"));
  for (let i = 0; i < 10; i++) {
    s.tick(i * 30_000);
    for (let k = 0; k < 15; k++) feed(s, frame(6, 0, 0, "0011223344556677"));
    framesOf(s);
  }
  assert.equal(s.wantsClose, false);
});

test("a reader that gives back its window in small pieces is no abuser", () => {
  const streams: HttpStream[] = [];
  const s = server({
    onRequest(stream) {
      stream.sink = new Recorder();
      streams.push(stream);
      stream.sendHead(responseHead(200), null, false);
    },
  });
  feed(s, PREFACE, SETTINGS, get(1));
  const piece = Buffer.alloc(1 << 20);
  for (let sent = 0; sent < 20; sent++) {
    streams[0].sendData(piece, 0, piece.length, false);
    while (streams[0].bufferedBytes > 0 && !s.wantsClose) {
      for (const { type, payload } of framesOf(s)) {
        for (let left = type === 0 ? payload.length : 0; left > 0; left -= 4_096) {
          const increment = Buffer.alloc(4);
          increment.writeUInt32BE(Math.min(left, 4_096));
          feed(s, frame(8, 0, 0, increment), frame(8, 0, 1, increment));
        }
      }
    }
  }
  assert.equal(s.wantsClose, false);
  assert.equal(streams[0].bufferedBytes, 0);
});

test("connection invariant 3: a head over the limit is answered with 431, one that is endless ends the connection", () => {
  const value = Buffer.concat([Buffer.from("000178", "hex"), Buffer.from("7f811f", "hex"), Buffer.alloc(4096, 97)]);
  const big = Buffer.concat([Buffer.from(GET.replaceAll(" ", ""), "hex"), value, value]);
  assert.deepEqual(answer([frame(HEADERS, END, 1, big), get(3)], { maxHeadBytes: 4_096 }), [
    "head 1 431",
    "head 3 200",
  ]);
  const endless = [frame(HEADERS, 0, 1, GET), ...new Array(40).fill(frame(9, 0, 1, value))];
  assert.deepEqual(answer(endless, { maxHeadBytes: 4_096 }), ["goaway ENHANCE_YOUR_CALM"]);
  const many = Buffer.concat([
    Buffer.from(GET.replaceAll(" ", ""), "hex"),
    ...new Array(20).fill(Buffer.from("0001780179", "hex")),
  ]);
  assert.deepEqual(answer([frame(HEADERS, END, 1, many)], { maxFields: 10 }), ["head 1 431"]);
});

test("what is not HTTP/2 at all is closed with GOAWAY", () => {
  for (const text of ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX", "\x16\x03\x01"]) {
    const s = server({ onRequest() {} });
    feed(s, Buffer.from(text, "latin1"));
    assert.equal(s.wantsClose, true);
    assert.equal(framesOf(s).at(-1)?.type, FrameType.goaway);
  }
});

test("the first frame must be SETTINGS", () => {
  const s = server({ onRequest() {} });
  feed(s, PREFACE, frame(6, 0, 0, "0011223344556677"));
  assert.equal(s.wantsClose, true);
  const c = client();
  feed(c, frame(6, 0, 0, "0011223344556677"));
  assert.equal(c.wantsClose, true);
});

const responses: Record<string, Buffer[]> = {
  "DATA before the head": [frame(0, 0, 1, "00")],
  "no :status": [frame(HEADERS, 4, 1, field("x", "y"))],
  "a status of two digits": [frame(HEADERS, 4, 1, field(":status", "20"))],
  "status 101": [frame(HEADERS, 4, 1, field(":status", "101"))],
  "an interim response that ends the stream": [frame(HEADERS, END, 1, field(":status", "103"))],
  "a body shorter than content-length": [
    frame(HEADERS, 4, 1, `88 ${field("content-length", "3")}`),
    frame(0, 1, 1, "00"),
  ],
  "a body with status 204": [frame(HEADERS, 4, 1, "89"), frame(0, 1, 1, "00")],
};
for (const [what, frames] of Object.entries(responses)) {
  test(`a response with ${what} is malformed`, () => {
    const c = client();
    const sink = new Recorder();
    c.request(requestHead("GET", "http", "a", "/"), null, true, sink);
    feed(c, SETTINGS, ...frames);
    assert.deepEqual([sink.failure?.kind, sink.failure?.code], ["protocol", ErrorCode.protocolError]);
    assert.equal(c.wantsClose, false);
  });
}

test("random bytes never throw; valid frames in random order neither", () => {
  const any = fc.tuple(fc.nat(12), fc.nat(255), fc.nat(9), fc.uint8Array({ maxLength: 40 }));
  fc.assert(
    fc.property(fc.array(any, { maxLength: 40 }), fc.uint8Array({ maxLength: 300 }), (frames, bytes) => {
      for (const machine of [server({ onRequest: (stream) => void (stream.sink = new Recorder()) }), client()]) {
        const isClient = "request" in machine;
        if (isClient)
          (machine as ReturnType<typeof client>).request(
            requestHead("GET", "http", "a", "/"),
            null,
            true,
            new Recorder(),
          );
        feed(machine, ...(isClient ? [] : [PREFACE]), SETTINGS);
        for (const [type, flags, id, payload] of frames) feed(machine, frame(type, flags, id, payload));
        feed(machine, bytes);
        machine.tick(1_000);
        machine.receiveEnd();
        machine.transportClosed("");
        assert.equal(machine.openStreams, 0);
      }
    }),
    { numRuns: 300 },
  );
});
