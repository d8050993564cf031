import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import type { WeftError } from "../../src/core/errors.ts";
import { rateLimit } from "../../src/policy/builders.ts";
import { service } from "../../src/service/definition.ts";
import { createRuntime } from "../../src/service/runtime.ts";
import { serve } from "../../src/service/serve.ts";
import type { ServerCall } from "../../src/service/server-call.ts";
import { eventually, World } from "./world.ts";

test("a service under a control plane enforces the limits that are published for it, from when they are", async (t) => {
  const world = new World();
  const published = (requests: number) =>
    JSON.stringify(rateLimit("counter").allow(requests, "1h").at("server").tell().resources()[0]);
  const who = { source: "test", author: "test", reason: "" };
  await world.startInMemory({ resources: { text: published(2), ...who } });
  const runtime = createRuntime({ env: {}, control: world.plane?.address ?? "" });
  const counter = service(Counter, { count: ({ count }) => ({ count: count + 1n }) });
  const server = await serve(counter, { port: 0, runtime });
  t.after(async () => {
    await server.stop(0);
    await runtime.close();
    await world.close();
  });
  const caller = createRuntime({ env: {} });
  t.after(() => caller.close());
  const client = caller.connect(Counter, { address: server.address });
  const call = () =>
    client.count({ count: 1n }).then(
      () => "",
      (thrown) => (thrown as WeftError).reason,
    );
  assert.deepEqual([await call(), await call(), await call()], ["", "", "RATE_LIMITED"]);
  await world.admin().publishRevision({ resources: published(1_000), ...who });
  await eventually(async () => (await call()) === "", "the new limit");
});

test("a call that a process makes of its own accord is found on every hop, by an id that its caller can read", async (t) => {
  const world = new World();
  const text = JSON.stringify(rateLimit("counter").allow(100, "1h").at("server").resources()[0]);
  await world.startInMemory({ resources: { text, source: "test", author: "test", reason: "" } });
  const control = world.plane?.address ?? "";
  const runtime = createRuntime({ env: { WEFT_SERVICE: "counter" }, control });
  const seen: string[] = [];
  const count = (request: { count: bigint }, call: ServerCall) => {
    seen.push(call.requestId);
    return { count: request.count };
  };
  const server = await serve(service(Counter, { count }), { port: 0, runtime });
  const caller = createRuntime({ env: {}, control });
  t.after(async () => {
    await caller.close();
    await server.stop(0);
    await runtime.close();
    await world.close();
  });
  const client = caller.connect(Counter, { service: "counter" });
  let requestId = "";
  await client.count({ count: 1n }, { onDecision: (decision) => (requestId = decision.requestId) });
  assert.match(requestId, /^[0-9a-f]{16}$/);
  assert.deepEqual(seen, [requestId]);
  const { processes } = await world.admin().explainCall({ requestId, timeoutMs: 500 });
  const places = processes.flatMap(({ decisions }) => decisions.map(({ decision }) => JSON.parse(decision).place));
  assert.deepEqual(places.sort(), ["client", "server"]);
});

test("publishing answers with what is doubtful, and with what nothing that is attached enforces", async (t) => {
  const world = new World();
  t.after(() => world.close());
  await world.startInMemory();
  const publish = async (requests: number) => {
    const resources = JSON.stringify(rateLimit("counter").allow(requests).resources()[0]);
    return world.admin().publishRevision({ resources, source: "l.json", author: "a", reason: "" });
  };
  assert.deepEqual((await publish(1)).warnings, []);
  const { link } = world.link({ process: "orders", role: "service" });
  await link.subscribe("counter");
  const { warnings, revision } = await publish(2);
  assert.equal(revision, 2n);
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0],
    /^l\.json:1:\d+ spec.*RateLimit\.enforcedBy is enforced by nothing that is there \(client, server\)/,
  );
  const gateway = world.link({ process: "gateway", role: "gateway" });
  await gateway.link.subscribe("counter");
  assert.deepEqual((await publish(2)).warnings, []);
  assert.deepEqual((await world.admin().getRevision({})).warnings, []);
});
