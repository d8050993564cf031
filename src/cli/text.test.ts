import assert from "node:assert/strict";
import { test } from "node:test";
import { formatColumns } from "./columns.ts";
import { COLORS, fit, PLAIN, sanitize, timeOfDay, widthOf } from "./terminal.ts";
import { curlLines } from "./up/try-lines.ts";

test("columns are aligned and nothing follows the last", () => {
  const rows = [
    [{ text: "a" }, { text: "1" }, { text: "" }],
    [{ text: "longer" }, { text: "22" }, { text: "x" }],
  ];
  const columns = [{ title: "NAME" }, { title: "N", align: "right" as const }, { title: "LAST" }];
  assert.deepEqual(formatColumns(columns, rows, PLAIN.dim), ["NAME     N  LAST", "a        1", "longer  22  x"]);
  const colored = formatColumns(columns, [[{ text: "a", style: COLORS.red }, { text: "1" }, { text: "z" }]], PLAIN.dim);
  assert.equal(colored[1], "\x1b[31ma\x1b[39m     1  z");
});

test("what a process prints cannot move the cursor or set titles", () => {
  const text = "\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\ta\x1b[10;10Hb\x1b[?1049h\rc\x07";
  assert.equal(sanitize(text, true), "\x1b[31mred\x1b[0m    abc");
  assert.equal(sanitize(text, false), "red    abc");
});

test("lines are cut to the width, colours and wide characters counted right", () => {
  assert.equal(fit("\x1b[31mabc\x1b[39mdef", 4), "\x1b[31mabc\x1b[39md\x1b[0m");
  assert.equal(fit("abc", 3), "abc");
  assert.equal(widthOf("日本e\u0301"), 5);
  assert.equal(fit("日本語", 5), "日本\x1b[0m");
});

test("requests to try become curl commands that a shell takes as they are", () => {
  const requests = ["GET /v1/products", "/counter", "DELETE /v1/x?a=1&b=2", 'POST /v1/orders {"a": "it\'s"}'];
  assert.deepEqual(curlLines("http://127.0.0.1:8080", requests), [
    "curl http://127.0.0.1:8080/v1/products",
    "curl http://127.0.0.1:8080/counter",
    "curl -X DELETE 'http://127.0.0.1:8080/v1/x?a=1&b=2'",
    "curl http://127.0.0.1:8080/v1/orders -H 'content-type: application/json' -d '{\"a\": \"it'\\''s\"}'",
  ]);
});

test("a time of day is the clock's on the wall, to the millisecond", () => {
  assert.equal(timeOfDay(new Date(2026, 0, 2, 3, 4, 5, 6).getTime()), "03:04:05.006");
});
