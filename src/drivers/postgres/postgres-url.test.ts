import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../../core/errors.ts";
import { parsePostgresUrl } from "./postgres-url.ts";

test("a user, a host and a database are enough", () => {
  assert.deepEqual(parsePostgresUrl("postgres://weft@db.local/shop"), {
    host: "db.local",
    port: 5432,
    user: "weft",
    password: "",
    database: "shop",
    schema: "weft",
    tls: null,
  });
});

test("a password, a port, a schema and files of TLS", () => {
  const url = "postgres://me:p%40ss:word@[::1]:6000/my%20db?schema=mesh&ca=ca.pem&serverName=db";
  assert.deepEqual(parsePostgresUrl(url), {
    host: "::1",
    port: 6000,
    user: "me",
    password: "p@ss:word",
    database: "my db",
    schema: "mesh",
    tls: { ca: "ca.pem", cert: "", key: "", serverName: "db" },
  });
  assert.deepEqual(parsePostgresUrl("postgres://a@h/d?tls=true").tls, { ca: "", cert: "", key: "", serverName: "" });
});

test("what is no url of PostgreSQL is refused, without repeating what may be a secret", () => {
  const wrong = [
    "",
    "mysql://me:secret@h/d",
    "postgresql://me:secret@h/d",
    "postgres://h1/secret",
    "postgres://:secret@h/d",
    "postgres://me:secret@/d",
    "postgres://me:secret@h",
    "postgres://me:secret@h/",
    "postgres://me:secret@h1,h2/d",
    "postgres://me:secret@h:0/d",
    "postgres://me:%secret@h/d",
    "postgres://me:secret@h/d?schema=A b",
    "postgres://me:secret@h/d?sslmode=secret",
    "postgres://me:secret@h/d?tls=no",
    "postgres://me:secret@h/d?cert=a.pem",
    "postgres://me:secret@h/d?ca=",
    "postgres://me:secret@h/d#x",
    `postgres://me:secret@h/${"d".repeat(64)}`,
  ];
  for (const url of wrong) {
    assert.throws(
      () => parsePostgresUrl(url),
      (thrown) =>
        thrown instanceof WeftError && thrown.code === "invalid_argument" && !thrown.message.includes("secret"),
      url,
    );
  }
});
