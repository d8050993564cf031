import assert from "node:assert/strict";
import { test } from "node:test";
import { requestHead } from "../../wire/head.ts";
import { RequestPlan, RequestShapes } from "./request-plan.ts";

const GRPC = ["content-type", "application/grpc", "te", "trailers"];
const head = (path: string, fields: readonly string[]) => requestHead("POST", "http", "orders", path, fields);
const ofCall = (n: number): string[] => [
  "x-request-id",
  `id-${n}`,
  "traceparent",
  `00-${"a".repeat(32)}-000000000000000${n}-01`,
  "grpc-timeout",
  `${n}S`,
  "x-forwarded-for",
  `10.0.0.${n}`,
  "x-weft-attempt",
  `${n}`,
];

test("calls that differ in nothing but what each says of itself go on by one head", () => {
  const shapes = new RequestShapes();
  const heads = [1, 2].map((n) => head("/a.B/C", [...GRPC, ...ofCall(n), "x-user", "7"]));
  const [one, two] = heads.map((each) => new RequestPlan(each, shapes.of(each, true, null)));
  assert.equal(one.shape, two.shape);
  assert.deepEqual(one.onward.fields, [...GRPC, "x-user", "7"]);
  assert.deepEqual(
    [two.requestId, two.trace?.parentId, two.timeoutMs, two.forwardedFor, two.callerAttempt],
    ["id-2", "0000000000000002", 2_000, "10.0.0.2", 2],
  );
});

test("anything else that differs is another shape", () => {
  const shapes = new RequestShapes();
  const first = head("/a.B/C", [...GRPC, "x-user", "7"]);
  const of = (other: typeof first, trusted = true, given = null) => shapes.of(other, trusted, given);
  const shape = of(first);
  assert.equal(of(head("/a.B/C", [...GRPC, "x-user", "7"])), shape);
  for (const other of [
    head("/a.B/C", [...GRPC, "x-user", "8"]),
    head("/a.B/C", [...GRPC, "x-user", "7", "x-more", "1"]),
    head("/a.B/C", GRPC),
    head("/a.B/C", ["x-user", "7", ...GRPC]),
    head("/a.B/D", [...GRPC, "x-user", "7"]),
    requestHead("POST", "http", "products", "/a.B/C", [...GRPC, "x-user", "7"]),
    requestHead("GET", "http", "orders", "/a.B/C", [...GRPC, "x-user", "7"]),
  ]) {
    assert.notEqual(of(other), shape);
    of(first);
  }
  assert.notEqual(of(first, false), shape);
});

test("of who has not proved who it is neither the shape nor the call says what hops say", () => {
  const shapes = new RequestShapes();
  const forged = head("/a.B/C", [
    ...GRPC,
    ...ofCall(3),
    "x-weft-peer",
    "spiffe://shop/a",
    "X_Weft_Peer".toLowerCase(),
    "b",
  ]);
  const plan = new RequestPlan(forged, shapes.of(forged, false, null));
  assert.deepEqual(plan.onward.fields, GRPC);
  assert.deepEqual([plan.forwardedFor, plan.callerAttempt, plan.requestId], ["", 0, "id-3"]);
  const trusted = new RequestPlan(forged, shapes.of(forged, true, null));
  assert.deepEqual(trusted.onward.fields, GRPC);
});

test("outside of gRPC a deadline is a field like others, so that it goes on", () => {
  const shapes = new RequestShapes();
  const rest = requestHead("GET", "http", "orders", "/x", ["grpc-timeout", "5S"]);
  const plan = new RequestPlan(rest, shapes.of(rest, true, null));
  assert.deepEqual([plan.timeoutMs, plan.onward.fields], [5_000, ["grpc-timeout", "5S"]]);
  const malformed = requestHead("GET", "http", "orders", "/x", ["grpc-timeout", "soon"]);
  assert.equal(new RequestPlan(malformed, shapes.of(malformed, true, null)).error?.reason, "BAD_TIMEOUT");
});
