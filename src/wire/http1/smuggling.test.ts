import assert from "node:assert/strict";
import { test } from "node:test";
import { responseHead } from "../head.ts";
import { ServerHarness } from "./harness.case.ts";

/** What request smuggling and its relatives are made of, and the status that each must get. 200: harmless, must be served. */
const vectors: [what: string, request: string, status: number][] = [
  ["plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200],
  ["one empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200],
  ["two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["LF before", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["CL.TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400],
  ["TE.CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", 400],
  ["two lengths that differ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400],
  ["two lengths that agree", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400],
  ["a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400],
  ["signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400],
  ["negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", 400],
  ["hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", 400],
  ["empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400],
  ["length beyond exact integers", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400],
  [
    "chunked twice in one field",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  [
    "chunked in two fields",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  ["chunked not last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400],
  ["identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400],
  ["a coding we do not know", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501],
  ["chunked with a tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tchunked\r\n\r\n0\r\n\r\n", 200],
  ["chunked with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400],
  ["xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400],
  ["quoted chunked", 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 400],
  ["transfer-encoding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
  ["space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na", 400],
  ["tab before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400],
  ["folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400],
  ["first field folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400],
  ["no colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400],
  ["empty field name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400],
  ["field name with a slash", "GET / HTTP/1.1\r\nHost: a\r\na/b: x\r\n\r\n", 400],
  ["field name above ASCII", "GET / HTTP/1.1\r\nHost: a\r\nx\xe9: x\r\n\r\n", 400],
  ["NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400],
  ["DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", 400],
  ["bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400],
  ["bare LF after a field", "GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n", 400],
  ["bare LF throughout", "GET / HTTP/1.1\nHost: a\n\n", 400],
  ["bytes above ASCII in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n", 200],
  ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200],
  ["two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400],
  ["empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400],
  ["host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400],
  ["host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
  ["host with two values", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400],
  ["IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200],
  ["broken IPv6 host", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400],
  ["absolute target", "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 200],
  ["absolute target, other host", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["absolute target, other scheme", "GET https://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["absolute target with a user", "GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["authority target", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501],
  ["authority target without CONNECT", "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200],
  ["GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["raw bytes above ASCII in the target", "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400],
  ["no version", "GET /\r\nHost: a\r\n\r\n", 400],
  ["version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400],
  ["version 1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400],
  ["version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 200],
  ["version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
  ["version 0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505],
  ["method with a bracket", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["binary", "\x16\x03\x01\x02\x00", 400],
  ["one word", "GARBAGE\r\n\r\n", 400],
  ["another protocol", "INVALID CONNECTION PREFACE\r\n\r\n", 0],
  ["expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\nContent-Length: 1\r\n\r\na", 417],
  [
    "upgrade to h2c is ignored",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    200,
  ],
  [
    "chunk size with a sign",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    400,
  ],
  [
    "chunk size with a prefix",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    400,
  ],
  [
    "chunk size after a space",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
    400,
  ],
  [
    "chunk size before a space",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
    400,
  ],
  ["empty chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n", 400],
  [
    "endless chunk size",
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${"0".repeat(20)}1\r\na\r\n0\r\n\r\n`,
    413,
  ],
  [
    "chunk longer than its size",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    400,
  ],
  ["chunk ended by LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 400],
  [
    "LF in a chunk extension",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    400,
  ],
  ["chunk extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n", 200],
  [
    "endless chunk extension",
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${"x".repeat(5000)}\r\na\r\n0\r\n\r\n`,
    400,
  ],
  [
    "framing in trailers",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    400,
  ],
  ["host in trailers", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n", 400],
  ["trailers", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: b\r\n\r\n", 200],
  ["head too large", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(70_000)}\r\n\r\n`, 431],
  ["target too long", `GET /${"x".repeat(70_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ["too many fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(300)}\r\n`, 431],
];

for (const [what, request, status] of vectors) {
  test(`${what}: ${status === 0 ? "closed without an answer" : status}`, () => {
    for (const pieces of [[request], [...request]]) {
      if (request.length > 4_096 && pieces.length > 1) continue;
      const server = new ServerHarness((exchange, fin) => {
        if (fin) return exchange.stream.sendHead(responseHead(200), null, true);
        const end = exchange.sink.end.bind(exchange.sink);
        exchange.sink.end = () => {
          end();
          exchange.stream.sendHead(responseHead(200), null, true);
        };
      });
      for (const piece of pieces) server.feed(piece);
      assert.equal(server.status, status, server.output);
      assert.equal(server.machine.wantsClose, status !== 200 || request.includes("HTTP/1.0"), "closes after an error");
      if (status !== 200 && status !== 0) {
        assert.match(server.output, /connection: close\r\n/);
        assert.match(server.output, /\{"type":"about:blank","title":"[^"]+","status":\d+,"detail":"[^"]+"/);
      }
      assert.ok(server.output.split(/HTTP\/1\.1 \d/).length <= 2, "one answer at most");
    }
  });
}
