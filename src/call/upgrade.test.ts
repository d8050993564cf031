import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldOf } from "../core/fields.ts";
import { requestHead, responseHead } from "../wire/head.ts";
import { upgradeRequest, upgradeResponse, websocketAccept } from "./upgrade.ts";

// The key and accept of RFC 6455, section 1.3.
const key = "dGhlIHNhbXBsZSBub25jZQ==";
const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const http1 = requestHead(
  "GET",
  "http",
  "a",
  "/chat",
  ["sec-websocket-key", key, "sec-websocket-version", "13"],
  "websocket",
);
const http2 = requestHead("CONNECT", "http", "a", "/chat", ["sec-websocket-version", "13"], "websocket");

test("the accept value is RFC 6455's", () => {
  assert.equal(websocketAccept(key), accept);
});

test("a handshake between equal versions passes as it is", () => {
  assert.equal(upgradeRequest(http1, "1.1"), http1);
  assert.equal(upgradeRequest(http2, "2"), http2);
});

test("HTTP/1.1 to HTTP/2: CONNECT without a key up, 101 with the accept down", () => {
  const up = upgradeRequest(http1, "2");
  assert.deepEqual([up.method, up.fields], ["CONNECT", ["sec-websocket-version", "13"]]);
  const down = upgradeResponse(responseHead(200, ["x-a", "1"]), http1, "1.1");
  assert.deepEqual([down.status, down.fields], [101, ["x-a", "1", "sec-websocket-accept", accept]]);
});

test("HTTP/2 to HTTP/1.1: GET with a key up, 200 without an accept down", () => {
  const up = upgradeRequest(http2, "1.1");
  assert.equal(up.method, "GET");
  assert.equal(Buffer.from(fieldOf(up.fields, "sec-websocket-key") ?? "", "base64").length, 16);
  const down = upgradeResponse(responseHead(101, ["sec-websocket-accept", accept, "x-a", "1"]), http2, "2");
  assert.deepEqual([down.status, down.fields], [200, ["x-a", "1"]]);
});

test("a refusal passes as it is", () => {
  const refusal = responseHead(403, []);
  assert.equal(upgradeResponse(refusal, http1, "1.1"), refusal);
});
