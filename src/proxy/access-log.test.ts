import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import type { Decision } from "../policy/call.ts";
import { createAccessLog } from "./access-log.ts";

const decision = (status: number, grpcStatus = -1): Decision => ({
  requestId: "r1",
  place: "gateway",
  revision: 1,
  endpointVersion: 1,
  startedAt: 0,
  durationMs: 1.234,
  route: "",
  service: "orders",
  steps: [],
  attempts: [{ number: 1, endpoint: "orders-1", address: "", startMs: 0, durationMs: 1, outcome: "ok", why: "" }],
  outcome: { status, grpcStatus, reason: "" },
  nearest: "",
});

function log(mode: "all" | "errors" | "off") {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const access = createAccessLog(mode, clock, (text) => lines.push(...text.trimEnd().split("\n")));
  return { clock, lines, access };
}

test("lines are gathered and written together, without the query", () => {
  const { clock, lines, access } = log("all");
  for (let i = 0; i < 3; i++)
    access.record({ method: "GET", path: "/v1/a?token=secret" }, "127.0.0.1:9", decision(200));
  assert.equal(lines.length, 0);
  clock.advance(1_000);
  assert.equal(lines.length, 3);
  const line = JSON.parse(lines[0]);
  assert.equal(line.request, "GET /v1/a");
  assert.equal(line.endpoint, "orders-1");
  assert.equal(line.ms, 1.23);
  assert.ok(!lines.join().includes("secret"));
});

test("the mode errors logs the server's faults only: 5xx and gRPC's", () => {
  const { clock, lines, access } = log("errors");
  for (const one of [decision(200), decision(404), decision(200, 5), decision(503), decision(200, 14)])
    access.record({ method: "GET", path: "/" }, "", one);
  clock.advance(1_000);
  assert.deepEqual(
    lines.map((line) => [JSON.parse(line).status, JSON.parse(line).grpc]),
    [
      [503, undefined],
      [200, 14],
    ],
  );
});

test("lines beyond what may wait are counted, not kept", () => {
  const { clock, lines, access } = log("all");
  for (let i = 0; i < 20_000; i++) access.record({ method: "GET", path: `/${"x".repeat(100)}` }, "", decision(200));
  clock.advance(1_000);
  const dropped = JSON.parse(lines.at(-1) as string).dropped;
  assert.ok(dropped > 0);
  assert.equal(lines.length - 1 + dropped, 20_000);
});
