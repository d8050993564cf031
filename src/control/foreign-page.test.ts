import assert from "node:assert/strict";
import { test } from "node:test";
import { toWeftError } from "../core/errors.ts";
import { assertNoForeignPage } from "./foreign-page.ts";

function ask(authority: string, fields: Record<string, string> = {}, peerAddress = "127.0.0.1:4000"): string {
  try {
    assertNoForeignPage({ peerAddress, authority, field: (name) => fields[name] });
    return "answered";
  } catch (thrown) {
    return toWeftError(thrown).reason;
  }
}

test("pages of other origins are refused, whatever they are called", () => {
  for (const origin of [
    "http://evil.example",
    "null",
    "http://127.0.0.1:3000",
    "file://",
    "http://127.0.0.1:7070.evil.example",
  ])
    assert.equal(ask("127.0.0.1:7070", { origin }), "FOREIGN_PAGE", origin);
  for (const site of ["cross-site", "same-site"])
    assert.equal(ask("127.0.0.1:7070", { "sec-fetch-site": site }), "FOREIGN_PAGE", site);
  assert.equal(ask("10.0.0.7:8500", { origin: "http://evil.example" }, "10.0.0.9:4000"), "FOREIGN_PAGE");
  assert.equal(ask("127.0.0.1:7070", { origin: "http://127.0.0.1:7070", "sec-fetch-site": "same-origin" }), "answered");
});

test("a name that was made to lead here is none of this machine", () => {
  for (const authority of [
    "evil.example:7070",
    "evil.example",
    "127.0.0.1.evil.example:7070",
    "localhost.evil.example:7070",
  ])
    for (const origin of [undefined, `http://${authority}`])
      assert.equal(ask(authority, origin === undefined ? {} : { origin }), "FOREIGN_PAGE", authority);
  for (const authority of [
    "127.0.0.1:7070",
    "[::1]:7070",
    "localhost:7070",
    "LOCALHOST",
    "shop.localhost:7070",
    "0.0.0.0:1",
    "",
  ])
    assert.equal(ask(authority), "answered", authority);
  assert.equal(
    ask("control.example:7070", {}, "10.0.0.9:4000"),
    "answered",
    "of other machines nobody is believed anyway",
  );
});
