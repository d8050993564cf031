import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import type { WeftError } from "../../src/core/errors.ts";
import { rateLimit } from "../../src/policy/builders.ts";
import { service } from "../../src/service/definition.ts";
import { createRuntime } from "../../src/service/runtime.ts";
import { serve } from "../../src/service/serve.ts";
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
