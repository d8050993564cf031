import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decision } from "../call.ts";
import { callTree, explainCallTree, type HopDecision } from "./call-tree.ts";

interface Try {
  endpoint: string;
  startMs: number;
  durationMs: number;
}

function hop(
  process: string,
  startedMs: number,
  tries: readonly Try[],
  endpoints: readonly string[] = [],
): HopDecision {
  const attempts = tries.map((one, i) => ({ number: i + 1, address: "10.0.0.1:1", outcome: "ok", why: "", ...one }));
  const decision: Decision = {
    requestId: "r",
    place: "client",
    revision: 1,
    endpointVersion: 1,
    startedAt: 0,
    durationMs: 10,
    route: "implicit",
    service: "s",
    steps: [],
    attempts,
    outcome: { status: 200, grpcStatus: -1, reason: "" },
    fallback: "",
    nearest: "",
  };
  return { process, node: "n", endpoints, request: `GET /${process}`, startedMs, decision };
}

const outline = (hops: readonly HopDecision[]): unknown => {
  const of = (node: ReturnType<typeof callTree>[number]): unknown => [
    node.process,
    ...node.children.map(({ attempt, call }) => [attempt, of(call)]),
  ];
  return callTree(hops).map(of);
};

test("a call belongs to the attempt during which it began, whatever the order of answers", () => {
  const gateway = hop("gateway", 100, [
    { endpoint: "orders-1", startMs: 0, durationMs: 20 },
    { endpoint: "orders-1", startMs: 30, durationMs: 40 },
  ]);
  const first = hop("orders-1", 105, [{ endpoint: "pay-1", startMs: 0, durationMs: 5 }], ["orders-1"]);
  const second = hop("orders-1", 140, [{ endpoint: "pay-1", startMs: 0, durationMs: 5 }], ["orders-1"]);
  const inner = hop("pay-1", 142, [], ["pay-1"]);
  const expected = [["gateway", [1, ["orders-1"]], [2, ["orders-1", [1, ["pay-1"]]]]]];
  assert.deepEqual(outline([inner, second, gateway, first]), expected);
});

test("when clocks differ the nearest attempt counts", () => {
  const gateway = hop("gateway", 1_000, [{ endpoint: "orders-1", startMs: 0, durationMs: 10 }]);
  const orders = hop("orders-1", 400, [], ["orders-1"]);
  assert.deepEqual(outline([gateway, orders]), [["gateway", [1, ["orders-1"]]]]);
});

test("calls that nobody caused stand beside each other, and a service that calls itself is no loop", () => {
  const one = hop("a", 0, [{ endpoint: "a-1", startMs: 0, durationMs: 50 }], ["a-1"]);
  const two = hop("a", 10, [{ endpoint: "a-1", startMs: 0, durationMs: 20 }], ["a-1"]);
  const other = hop("b", 5, []);
  const flat = JSON.stringify(outline([one, two, other]));
  assert.equal(flat.match(/"a"/g)?.length, 2);
  assert.equal(flat.match(/"b"/g)?.length, 1);
});

test("what followed from an attempt stands under it, indented", () => {
  const gateway = hop("gateway", 100, [{ endpoint: "orders-1", startMs: 0, durationMs: 20 }]);
  const orders = hop("orders-1/17/x", 105, [{ endpoint: "pay-1", startMs: 0, durationMs: 5 }], ["orders-1"]);
  const lines = explainCallTree(callTree([gateway, orders]), (ms) => `at ${ms}`).split("\n");
  assert.deepEqual(
    lines.map((line) => line.replace(/\s{2,}/g, "  ")),
    [
      "GET /gateway  ->  200 after 10 ms  revision 1, at 100, client gateway",
      "  route  implicit",
      "  attempt 1  orders-1 10.0.0.1:1  ok, 20 ms",
      "  GET /orders-1/17/x  ->  200 after 10 ms  revision 1, at 105, client orders-1",
      "  route  implicit",
      "  attempt 1  pay-1 10.0.0.1:1  ok, 5 ms",
    ],
  );
});
