import assert from "node:assert/strict";
import test from "node:test";
import { parseControlAddresses } from "./control-addresses.ts";

test("one address or several are read, with what people put before and behind them", () => {
  assert.deepEqual(parseControlAddresses("127.0.0.1:7070"), ["127.0.0.1:7070"]);
  assert.deepEqual(parseControlAddresses("http://h1:7070/,h2:7071,[::1]:7072"), ["h1:7070", "h2:7071", "[::1]:7072"]);
});

test("anything else is no list of control planes", () => {
  const many = Array.from({ length: 17 }, (_, n) => `h${n}:7070`).join(",");
  for (const text of [
    "",
    ",",
    "h1",
    "h1:0",
    "h1:70700",
    "h1:7070,",
    "h1:7070, h2:7070",
    "h1:7070,h1:7070",
    "a b:1",
    many,
  ])
    assert.equal(parseControlAddresses(text), null, text);
});
