import assert from "node:assert/strict";
import { test } from "node:test";
import { isPrintable, printable } from "./printable.ts";

test("what moves a cursor, ends a line or turns text around is not printed", () => {
  assert.equal(printable("a\x1b[2J\r\nb\x9b31m\x7f\u202eevil\u2028"), "a?[2J??b?31m??evil?");
  assert.equal(printable("größer 注文 ok"), "größer 注文 ok");
  assert.equal(printable("abcdef", 3), "abc...");
  assert.equal(isPrintable("orders-1/4711/k3f9"), true);
  assert.equal(isPrintable("orders\n"), false);
  assert.equal(isPrintable("orders\n"), false, "and again");
});
