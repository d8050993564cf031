import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../core/errors.ts";
import { readTls } from "./driver-tls.ts";
import { DriverUrl, TLS_PARAMETERS } from "./driver-url.ts";

const shape = { scheme: "place", vendor: "Place", looks: '"place://h1"', parameters: ["zone", ...TLS_PARAMETERS] };

test("a url is taken apart: login, addresses, prefix, parameters and files of TLS", () => {
  const url = new DriverUrl("place://me:p%40ss@h1,[::1]:7/teams/a/?zone=a&ca=ca.pem", shape);
  assert.deepEqual(url.credentials(), { name: "me", password: "p@ss" });
  assert.deepEqual(url.addresses(9, 2), [
    { host: "h1", port: 9 },
    { host: "::1", port: 7 },
  ]);
  assert.equal(url.prefix(), "teams/a");
  assert.equal(url.parameter("zone"), "a");
  assert.deepEqual(url.tls(), { ca: "ca.pem", cert: "", key: "", serverName: "" });
});

test("what is left out has its default", () => {
  const url = new DriverUrl("place://h1", shape);
  assert.deepEqual(
    [url.credentials(), url.prefix(), url.parameter("zone"), url.tls()],
    [null, "weft", undefined, null],
  );
});

test("each part is refused with what belongs there, and without what stands there", () => {
  const read = (text: string) => () => {
    const url = new DriverUrl(text, shape);
    return [url.addresses(9, 2), url.prefix(), url.credentials(), url.tls()];
  };
  const wrong: [string, RegExp][] = [
    ["other://secret@h1", /it looks like "place:\/\/h1"/],
    ["place://me:secret@h1,h2,h3", /at most 2 addresses/],
    ["place://me:secret@h1:0", /HOST:PORT/],
    ["place://me:secret@", /HOST:PORT/],
    ["place://secret@h1", /USER:PASSWORD/],
    ["place://me:%secret@h1", /write %25/],
    ["place://me:secret@h1/..", /prefix of keys/],
    ["place://me:secret@h1?zone=a&zone=secret", /zone is given twice/],
    ["place://me:secret@h1?zone=", /zone is empty/],
    ["place://me:secret@h1?other=secret", /parameters are zone, tls, ca, cert, key and serverName/],
    ["place://me:secret@h1?tls=secret", /tls is true/],
    ["place://me:secret@h1?key=secret", /belong together/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(read(text), (thrown: unknown) => {
      assert.ok(thrown instanceof WeftError && thrown.reason === "BAD_ADDRESS", text);
      assert.match(thrown.message, message);
      assert.ok(!thrown.message.includes("secret"), thrown.message);
      return true;
    });
  }
});

test("a file of TLS that is none is refused by its name, before anything connects", () => {
  const files = { ca: import.meta.filename, cert: "", key: "", serverName: "" };
  assert.throws(() => readTls({ ...files, ca: "none.pem" }, "Place"), {
    reason: "BAD_CERTIFICATE",
    message: /ca of Place's url, none\.pem, cannot be read \(ENOENT\)/,
  });
  assert.throws(() => readTls(files, "Place"), { message: /holds no PEM certificate/ });
  assert.deepEqual(readTls({ ca: "", cert: "", key: "", serverName: "h" }, "Place"), { serverName: "h" });
});
