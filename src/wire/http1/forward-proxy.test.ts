import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { responseHead } from "../head.ts";
import { resolveLimits } from "../limits.ts";
import { HttpDate } from "./date.ts";
import { type Exchange, feed, PEER, Recorder } from "./harness.case.ts";
import { HeadCache } from "./head-cache.ts";
import { createHttp1Server } from "./server.ts";

function proxy(onExchange: (exchange: Exchange) => void) {
  const exchanges: Exchange[] = [];
  const machine = createHttp1Server(
    {
      host: { wake() {} },
      peer: PEER,
      limits: resolveLimits(undefined),
      proxy: true,
      handler: {
        onRequest(stream, head, fin) {
          const exchange = { stream, head, sink: new Recorder() };
          stream.sink = exchange.sink;
          if (fin) exchange.sink.end();
          exchanges.push(exchange);
          onExchange(exchange);
        },
      },
    },
    new HeadCache(),
    new HttpDate(new VirtualClock()),
  );
  const say = (text: string): string => {
    feed(machine, Buffer.from(text, "latin1"));
    let output = "";
    while (machine.pendingBytes > 0) {
      output += Buffer.from(machine.takeOutput()).toString("latin1");
      machine.written();
    }
    return output;
  };
  return { exchanges, machine, say };
}

test("a CONNECT that is granted has no body of its own: bytes go both ways as they come", () => {
  const { exchanges, machine, say } = proxy(({ stream }) => stream.sendHead(responseHead(200), null, false));
  const granted = say("CONNECT orders.weft:50051 HTTP/1.1\r\nHost: orders.weft:50051\r\n\r\nPRI *");
  assert.match(granted, /^HTTP\/1\.1 200 OK\r\n(?!.*(?:content-length|transfer-encoding|connection))/s);
  assert.ok(granted.endsWith("\r\n\r\n"));
  const [{ stream, head, sink }] = exchanges;
  assert.deepEqual([head.method, head.authority, head.path], ["CONNECT", "orders.weft:50051", ""]);
  say(" HTTP/2.0\r\n\r\n");
  assert.equal(sink.body, "PRI * HTTP/2.0\r\n\r\n");
  stream.sendData(Buffer.from("GET no head"), 0, 11, false);
  assert.equal(say(""), "GET no head");
  machine.receiveEnd();
  stream.sendData(Buffer.alloc(0), 0, 0, true);
  assert.equal(machine.wantsClose, true);
});

test("a CONNECT that is refused leaves the connection to the next request", () => {
  const { exchanges, say } = proxy(({ stream }) =>
    stream.sendHead(responseHead(403, ["content-length", "0"]), null, true),
  );
  assert.match(say("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), /^HTTP\/1\.1 403 /);
  assert.match(say("CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n"), /^HTTP\/1\.1 403 /);
  assert.equal(exchanges.length, 2);
});

test("a target with a host is believed whatever the host field says; a proxy's rule (RFC 9112 section 3.2.2)", () => {
  const { exchanges, say } = proxy(({ stream }) => stream.sendHead(responseHead(204), null, true));
  say("GET http://orders.weft/v1?x=1 HTTP/1.1\r\nHost: other\r\n\r\n");
  assert.deepEqual([exchanges[0].head.authority, exchanges[0].head.path], ["orders.weft", "/v1?x=1"]);
});

for (const [what, request] of [
  ["without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["with a path", "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["with a body's length", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello"],
  ["with a chunked body", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
] as const) {
  test(`a CONNECT ${what} is refused`, () => {
    const { exchanges, say } = proxy(() => {});
    assert.match(say(request), /^HTTP\/1\.1 400 /);
    assert.equal(exchanges.length, 0);
  });
}
