import assert from "node:assert/strict";
import { test } from "node:test";
import { HealthCheckResponse_ServingStatus as Status } from "../contract/gen/grpc/health/v1/health.ts";
import { createHealthService } from "./health.ts";
import { ServerStatus } from "./server-status.ts";

test("check knows the server, its services, and nothing else", async () => {
  const status = new ServerStatus();
  const { call } = createHealthService(status, ["counter.v1.Counter"]);
  assert.equal((await call.check({})).status, Status.NOT_SERVING);
  status.set("serving");
  assert.equal((await call.check({})).status, Status.SERVING);
  assert.equal((await call.check({ service: "counter.v1.Counter" })).status, Status.SERVING);
  await assert.rejects(call.check({ service: "other" }), { code: "not_found" });
  assert.deepEqual(Object.keys((await call.list({})).statuses), ["", "counter.v1.Counter"]);
});

test("watch tells the state now and each change, and nothing leaves draining", async () => {
  const status = new ServerStatus();
  const { call } = createHealthService(status, []);
  const seen: number[] = [];
  const watching = (async () => {
    for await (const answer of call.watch({})) {
      seen.push(answer.status);
      if (seen.length === 3) break;
    }
  })();
  await new Promise(setImmediate);
  status.set("serving");
  await new Promise(setImmediate);
  status.set("draining");
  status.set("serving");
  await watching;
  assert.deepEqual(seen, [Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]);
  assert.equal(status.state, "draining");
});

test("watching an unknown service says so and stays open", async () => {
  const { call } = createHealthService(new ServerStatus(), []);
  const stream = call.watch({ service: "other" });
  assert.equal((await stream.next()).value?.status, Status.SERVICE_UNKNOWN);
  await stream.return?.();
});
