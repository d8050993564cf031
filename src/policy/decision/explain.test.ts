import assert from "node:assert/strict";
import { test } from "node:test";
import { route, traffic } from "../builders.ts";
import { endpoint, grpc, TestCall, world } from "../machine/call.case.ts";
import { copyDecision } from "./decision.ts";
import { explainDecision } from "./explain.ts";
import { outcomeText } from "./outcome-text.ts";

test("a failed call is explained step by step, with the nearest change", () => {
  const resources = traffic("products").timeout("800ms").retry(1).resources();
  const endpoints = [endpoint("products-1"), endpoint("products-2")];
  const runtime = world({ resources, endpoints, seed: 3 });
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get"));
  call.advance(3);
  call.fail(1, "reset").advance(797);
  const text = explainDecision(call.call.decision, { request: "Get", when: "12:03:07.114" });
  const lines = text.split("\n");
  assert.equal(lines[0], "Get  ->  grpc deadline_exceeded after 800 ms        revision 1, 12:03:07.114, gateway");
  assert.match(lines[1], /^ {2}route {6}implicit -> products$/);
  assert.match(lines[2], /^ {2}deadline {3}800 ms from TrafficPolicy products$/);
  assert.match(
    lines[3],
    /^ {2}attempt 1 {2}products-\d 10\.0\.0\.1:900\d {3}reset, 3 ms {7}P2C: chosen over products-\d \(ewma .* x 1 against .* x 1\)$/,
  );
  assert.match(lines[4], /^ {2}attempt 2 {2}products-\d 10\.0\.0\.1:900\d {3}timeout, 797 ms/);
  assert.match(lines[5], /^ {2}nearest {4}might have passed with more than 800 ms \(TrafficPolicy products\)$/);
});

test("a copy of a decision is plain data and outlives its machine", () => {
  const runtime = world();
  const call = new TestCall(runtime).begin(grpc("/p.Products/Buy")).fail(1, "reset");
  const copy = copyDecision(call.call.decision);
  const text = explainDecision(copy);
  runtime.release(call.call);
  assert.equal(explainDecision(structuredClone(copy)), text);
  assert.match(text, /attempt 2 {2}not made: the call is not idempotent/);
});

test("of the gateway's routes, the rule that matched is named by its number and its resource", () => {
  const resources = [
    ...route("/v1/orders").to("orders").resources(),
    ...route("/p.Products").to("products").resources(),
  ];
  const call = new TestCall(world({ resources, endpoints: [] })).begin(grpc("/p.Products/Get"));
  const [title, first] = explainDecision(call.call.decision).split("\n");
  assert.match(title, /-> {2}grpc unavailable NO_HEALTHY_ENDPOINT after 0 ms/);
  assert.match(first, /^ {2}route {6}\/p\.Products -> products {3,}rule 1 of 2 \(HTTPRoute\/.+\)$/);
});

test("what the caller of REST got is told as HTTP, and gRPC's statuses by their names", () => {
  const outcome = { status: 200, grpcStatus: 5, reason: "" };
  assert.equal(outcomeText({ outcome, rest: true }), "404");
  assert.equal(outcomeText({ outcome }), "grpc not_found");
  assert.equal(outcomeText({ outcome: { ...outcome, grpcStatus: 0 } }), "grpc ok");
  assert.equal(
    outcomeText({ outcome: { ...outcome, grpcStatus: 8, reason: "RATE_LIMITED" }, rest: true }),
    "429 RATE_LIMITED",
  );
  assert.equal(outcomeText({ outcome: { status: 503, grpcStatus: -1, reason: "BREAKER_OPEN" } }), "503 BREAKER_OPEN");
});

test("no retry is proposed of what the service said of the request itself", () => {
  const call = new TestCall(world()).begin(grpc("/p.Products/Get")).head(1, 200, ["grpc-status", "5"]);
  const { steps, nearest } = copyDecision(call.call.decision);
  assert.ok(!steps.some(({ rule }) => rule.startsWith("attempt")));
  assert.equal(nearest, "");
});

test("the breaker that refused is named, also when a stand-by answered", () => {
  const resources = traffic("products").retry(0).breaker({ consecutiveFailures: 1 }).fallback({ service: "standby" });
  const standby = { ...endpoint("standby-1"), service: "standby" };
  const runtime = world({ resources: resources.resources(), endpoints: [endpoint("products-1"), standby] });
  new TestCall(runtime).begin(grpc("/p.Products/Get")).fail(1, "reset").head(2, 200, ["grpc-status", "0"]);
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get")).head(1, 200, ["grpc-status", "0"]);
  const text = explainDecision(call.call.decision);
  assert.match(text, /breaker {4}products is open \(1 failure in a row\); a probe goes in .* {2}\(refused\)$/m);
  assert.match(text, /the stand-by standby was asked/);
});
