import assert from "node:assert/strict";
import { test } from "node:test";
import { formatColumns } from "./columns.ts";
import { explain } from "./explain.ts";
import { COLORS, fit, PLAIN, sanitize, widthOf } from "./terminal.ts";
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

test("a decision is told step by step", () => {
  const text = explain({
    requestId: "r",
    place: "client",
    revision: 3,
    endpointVersion: 8,
    startedAt: 0,
    durationMs: 812.4,
    route: "/v1/orders",
    service: "orders",
    steps: [{ rule: "limit", verdict: "ok", text: "41 of 100/s left", values: {} }],
    attempts: [
      {
        number: 1,
        endpoint: "orders-2",
        address: "127.0.0.1:9002",
        startMs: 0,
        durationMs: 3.2,
        outcome: "reset",
        why: "P2C",
      },
    ],
    outcome: { status: 503, grpcStatus: 14, reason: "NO_ENDPOINT" },
    nearest: "a timeout of 1 s",
  });
  const lines = text.split("\n");
  assert.match(lines[0], /^orders {2}-> {2}grpc-status 14 NO_ENDPOINT after 812 ms/);
  assert.match(text, /attempt 1 {2}orders-2 127\.0\.0\.1:9002 {2}reset, 3\.2 ms/);
  assert.match(text, /nearest {4}a timeout of 1 s/);
});
