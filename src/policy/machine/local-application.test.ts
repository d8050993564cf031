import assert from "node:assert/strict";
import { test } from "node:test";
import { Effect } from "../call.ts";
import { WEFT_API } from "../resource/resources.ts";
import { endpoint, grpc, http, TestCall, world } from "./call.case.ts";

const HERE = { place: "server", service: "products" } as const;
const LOCAL = "(application)";

function beside(resources: Parameters<typeof world>[0] = {}) {
  const runtime = world(resources);
  runtime.forwardTo({ host: "127.0.0.1", port: 3_000, protocol: "http1" });
  return runtime;
}

test("without an application a call at the server is accepted; with one it goes on to it", () => {
  const accepted = new TestCall(world()).begin(http("GET", "/"), HERE);
  assert.deepEqual([accepted.count(Effect.accept), accepted.endpoints], [1, []]);
  const forwarded = new TestCall(beside()).begin(http("GET", "/"), HERE);
  assert.deepEqual([forwarded.count(Effect.accept), forwarded.endpoints], [0, [LOCAL]]);
  forwarded.head(1, 200);
  assert.equal(forwarded.call.ended, true);
  assert.deepEqual(
    [forwarded.call.decision.service, forwarded.call.decision.attempts.length, forwarded.call.decision.outcome.status],
    ["products", 1, 200],
  );
});

test("it is made once, whatever comes of it and whatever policy says of retries", () => {
  const resources = [
    {
      apiVersion: WEFT_API,
      kind: "TrafficPolicy",
      metadata: { name: "products" },
      spec: {
        retry: { attempts: 3, on: ["503", "unavailable", "connect-failure", "reset", "refused"] },
        hedge: { after: "1ms" },
      },
    } as const,
  ];
  for (const kind of ["connect", "reset", "refused", "protocol", "overflow"] as const) {
    const call = new TestCall(beside({ resources })).begin(grpc("/p.Products/Get"), HERE).advance(10).fail(1, kind);
    assert.deepEqual([call.endpoints, call.call.ended], [[LOCAL], true], kind);
  }
  const answered = new TestCall(beside({ resources })).begin(http("GET", "/"), HERE).head(1, 503);
  assert.deepEqual([answered.endpoints, answered.call.decision.outcome.status], [[LOCAL], 503]);
});

test("an application that could not be reached is tried by the next call", () => {
  const runtime = beside();
  for (let i = 0; i < 5; i++) {
    const call = new TestCall(runtime, i).begin(http("GET", "/"), HERE).fail(1, "connect");
    assert.deepEqual([call.endpoints, call.reason], [[LOCAL], "UPSTREAM_CONNECT"]);
  }
});

test("the caller's deadline ends it, and no time-out of policy does", () => {
  const resources = [
    { apiVersion: WEFT_API, kind: "TrafficPolicy", metadata: { name: "all" }, spec: { timeout: "10ms" } } as const,
  ];
  const open = new TestCall(beside({ resources })).begin(grpc("/p.Products/Get"), HERE).advance(60_000);
  assert.equal(open.call.ended, false);
  const limited = new TestCall(beside({ resources })).begin(grpc("/p.Products/Get"), { ...HERE, deadline: 50 });
  limited.advance(49);
  assert.equal(limited.call.ended, false);
  limited.advance(1);
  assert.deepEqual([limited.call.ended, limited.count(Effect.cancel)], [true, 1]);
  const late = new TestCall(beside(), 100).begin(grpc("/p.Products/Get"), { ...HERE, deadline: 50 });
  assert.deepEqual([late.call.ended, late.endpoints], [true, []]);
});

test("it stays when all endpoints are told anew, and calls of other places never go there", () => {
  const runtime = beside();
  runtime.applyEndpoints({ endpointVersion: 2, full: true, changed: [endpoint("products-9")], removed: [] });
  assert.deepEqual(new TestCall(runtime).begin(http("GET", "/"), HERE).endpoints, [LOCAL]);
  assert.deepEqual(new TestCall(runtime).begin(grpc("/p.Products/Get"), { place: "sidecar" }).endpoints, [
    "products-9",
  ]);
  runtime.forwardTo({ host: "127.0.0.1", port: 4_000, protocol: "h2c" });
  const call = new TestCall(runtime).begin(http("GET", "/"), HERE);
  assert.equal(call.call.decision.attempts[0].address, "127.0.0.1:4000");
});
