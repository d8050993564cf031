import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../../core/errors.ts";
import { parseEtcdUrl } from "./etcd-url.ts";

test("one address is enough: the rest has defaults", () => {
  assert.deepEqual(parseEtcdUrl("etcd://127.0.0.1"), {
    addresses: ["127.0.0.1:2379"],
    prefix: "/weft",
    login: null,
    tls: null,
  });
});

test("several addresses, a login, a prefix and files of TLS", () => {
  assert.deepEqual(parseEtcdUrl("etcd://me:p%40ss:word@h1:2379,[::1]:23,h3/teams/a/?ca=ca.pem&serverName=etcd"), {
    addresses: ["h1:2379", "[::1]:23", "h3:2379"],
    prefix: "/teams/a",
    login: { name: "me", password: "p@ss:word" },
    tls: { ca: "ca.pem", cert: "", key: "", serverName: "etcd" },
  });
  assert.deepEqual(parseEtcdUrl("etcd://h1?tls=true").tls, { ca: "", cert: "", key: "", serverName: "" });
});

test("what is no url of etcd is refused, without repeating what may be a secret", () => {
  const wrong = [
    "",
    "redis://secret@h1",
    "etcd://",
    "etcd://h1:0",
    "etcd://h1:99999",
    "etcd://h1,,h2",
    "etcd://secret@h1",
    "etcd://me:%secret@h1",
    "etcd://me:secret@@h1",
    "etcd://me:secret@h1/a b",
    "etcd://me:secret@h1/a//b",
    "etcd://me:secret@h1?tls=no",
    "etcd://me:secret@h1?cert=a.pem",
    "etcd://me:secret@h1?secret=1",
    "etcd://me:secret@h1?ca=",
    "etcd://me:secret@h1#x",
    `etcd://me:secret@${"h,".repeat(20)}h`,
  ];
  for (const url of wrong) {
    assert.throws(
      () => parseEtcdUrl(url),
      (thrown) =>
        thrown instanceof WeftError && thrown.code === "invalid_argument" && !thrown.message.includes("secret"),
      url,
    );
  }
});
