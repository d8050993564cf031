import assert from "node:assert/strict";
import { test } from "node:test";
import { hostPort, parseHostPort } from "./address.ts";

test("a host and a port, of both families, there and back", () => {
  for (const text of ["127.0.0.1:80", "orders.local:0", "[::1]:65535", "[fe80::1%eth0]:9000"]) {
    const parsed = parseHostPort(text);
    assert.ok(parsed !== null, text);
    assert.equal(hostPort(parsed.host, parsed.port), text);
  }
});

test("what lacks a part, or has more, is no address", () => {
  for (const text of [
    "",
    "80",
    ":80",
    "a",
    "a:",
    "a:b",
    "a:65536",
    "a:-1",
    "::1:80",
    "[::1]",
    "[]:80",
    "a b:80",
    "a:80 ",
    "a:80:80",
  ])
    assert.equal(parseHostPort(text), null, text);
});
