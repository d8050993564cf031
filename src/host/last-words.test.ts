import assert from "node:assert/strict";
import { test } from "node:test";
import { lastWords } from "./last-words.ts";

test("an uncaught error of Node is told with its place", () => {
  const lines = [
    "connecting",
    "file:///app/orders/main.ts:7",
    "throw new TypeError('no database');",
    "      ^",
    "",
    "TypeError: no database",
    "    at file:///app/orders/main.ts:7:7",
    "    at ModuleJob.run (node:internal/modules/esm/module_job:561:25) {",
    "  code: 'ERR'",
    "}",
    "",
    "Node.js v24.21.0",
  ];
  assert.equal(lastWords(lines, "/app"), "orders/main.ts:7: TypeError: no database");
});

test("errors of other languages are found by their names", () => {
  const python = ["Traceback (most recent call last):", '  File "app.py", line 1, in <module>', "ValueError: no yarn"];
  assert.equal(lastWords(python, "/app"), "ValueError: no yarn");
  const go = ["panic: no loom", "", "goroutine 1 [running]:", "main.main()"];
  assert.equal(lastWords(go, "/app"), "panic: no loom");
});

test("otherwise the last line that says something is told, and nothing when there is none", () => {
  assert.equal(lastWords(["one", "two", "", "    at x (y:1:1)"], "/app"), "two");
  assert.equal(lastWords([], "/app"), "");
  assert.equal(lastWords(["x".repeat(1_000)], "/app").length, 300);
});
