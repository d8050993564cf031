import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../../core/errors.ts";
import { parseZookeeperUrl } from "./zookeeper-url.ts";

test("servers, prefix, login and files of TLS are read", () => {
  assert.deepEqual(parseZookeeperUrl("zookeeper://h1"), {
    addresses: ["h1:2181"],
    prefix: "/weft",
    login: null,
    tls: null,
  });
  assert.deepEqual(parseZookeeperUrl("zookeeper://me:p%40ss@h1:1,[::1]:2,h3/a/b/?ca=x.pem&serverName=zk"), {
    addresses: ["h1:1", "[::1]:2", "h3:2181"],
    prefix: "/a/b",
    login: { name: "me", password: "p@ss" },
    tls: { ca: "x.pem", cert: "", key: "", serverName: "zk" },
  });
});

test("what is none is refused, without a word of it", () => {
  const bad = [
    "zookeeper://",
    "zk://h1",
    "zookeeper://h1:0",
    "zookeeper://h1:99999",
    "zookeeper://secret@h1",
    "zookeeper://a%3Asecret:secret@h1",
    "zookeeper://me:secret%@h1",
    "zookeeper://h1/a b",
    "zookeeper://h1/..",
    "zookeeper://h1/a/./b",
    "zookeeper://h1/zookeeper/x",
    "zookeeper://h1?tls=false",
    "zookeeper://h1?ca=",
    "zookeeper://h1?secret=1",
    "zookeeper://h1?cert=a",
    `zookeeper://${Array.from({ length: 17 }, (_, i) => `h${i}`).join(",")}`,
    `zookeeper://h1/${"a".repeat(5_000)}`,
  ];
  for (const url of bad) {
    assert.throws(
      () => parseZookeeperUrl(url),
      (thrown: unknown) => {
        assert.ok(thrown instanceof WeftError, url);
        assert.equal(thrown.code, "invalid_argument");
        assert.ok(!thrown.message.includes("secret"), thrown.message);
        return true;
      },
    );
  }
});
