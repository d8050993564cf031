import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../../core/errors.ts";
import { parseConsulUrl } from "./consul-url.ts";

test("an address is enough: the rest has defaults", () => {
  const rest = { prefix: "weft", token: "", datacenter: "", tls: null };
  assert.deepEqual(parseConsulUrl("consul://127.0.0.1"), { host: "127.0.0.1", port: 8500, ...rest });
  assert.deepEqual(parseConsulUrl("consul://[::1]:23/"), { host: "::1", port: 23, ...rest });
});

test("a token, a prefix, a datacenter and files of TLS", () => {
  assert.deepEqual(parseConsulUrl("consul://to%40ken@h1/teams/a/?dc=east&ca=ca.pem&serverName=server.east.consul"), {
    host: "h1",
    port: 8501,
    prefix: "teams/a",
    token: "to@ken",
    datacenter: "east",
    tls: { ca: "ca.pem", cert: "", key: "", serverName: "server.east.consul" },
  });
  assert.deepEqual(parseConsulUrl("consul://h1?tls=true").tls, { ca: "", cert: "", key: "", serverName: "" });
});

test("what is no url of Consul is refused, without repeating what may be a secret", () => {
  const wrong = [
    "",
    "redis://secret@h1",
    "consul://",
    "consul://h1:0",
    "consul://h1:99999",
    "consul://h1,h2",
    "consul://%secret@h1",
    "consul://sec%0aret@h1",
    "consul://@h1",
    "consul://secret@@h1",
    "consul://secret@h1/a b",
    "consul://secret@h1/a//b",
    "consul://secret@h1/../b",
    "consul://secret@h1?tls=no",
    "consul://secret@h1?dc=a/b",
    "consul://secret@h1?cert=a.pem",
    "consul://secret@h1?secret=1",
    "consul://secret@h1?ca=",
    "consul://secret@h1#x",
  ];
  for (const url of wrong) {
    assert.throws(
      () => parseConsulUrl(url),
      (thrown) =>
        thrown instanceof WeftError && thrown.code === "invalid_argument" && !thrown.message.includes("secret"),
      url,
    );
  }
});
