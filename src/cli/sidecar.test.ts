import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { startControlPlane } from "../control/control-plane.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { Ports } from "../host/ports.ts";
import { createLink } from "../link/link.ts";
import type { Link } from "../link/types.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { startGateway } from "../proxy/gateway.ts";
import { ask, startApp } from "../proxy/sidecar/sidecar.case.ts";
import { startSidecar } from "../proxy/sidecar/sidecar.ts";
import { service } from "../service/definition.ts";
import { createRuntime } from "../service/runtime.ts";
import { serve } from "../service/serve.ts";

async function mesh(t: TestContext) {
  const plane = await startControlPlane({ registry: createMemoryRegistry(), health: { defaults: { kind: "ttl" } } });
  t.after(() => plane.stop());
  const line = (): { policy: PolicyRuntime; link: Link } => {
    const policy = createPolicyRuntime();
    const link = createLink({ address: plane.address, policy });
    t.after(() => link.close());
    return { policy, link };
  };
  const beside = async (name: string, port: number) => {
    const { policy, link } = line();
    const sidecar = await startSidecar({
      service: name,
      app: { host: "127.0.0.1", port },
      policy,
      link,
      admin: null,
      accessLog: "off",
      tags: ["canary", "blue"],
      onProblem: () => {},
    });
    t.after(() => sidecar.stop(0));
    return { sidecar, policy, link };
  };
  return { line, beside };
}

async function until(what: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; !what(); ) {
    if (performance.now() > end) throw new Error("it did not come");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("an application that serves reflection is known by its contracts, and the gateway serves REST for it", async (t) => {
  const { line, beside } = await mesh(t);
  const runtime = createRuntime({ env: { WEFT_SIDECAR: "127.0.0.1:1" } });
  t.after(() => runtime.close());
  const counter = service(Counter, { count: ({ count }) => ({ count: count + 1n }) });
  const server = await serve(counter, { port: 0, runtime, quiet: true });
  t.after(() => server.stop(0));
  await beside("counter", server.port);

  const { policy, link } = line();
  link.watchContracts(() => {});
  await link.subscribe("*");
  await until(() => policy.knows("counter.v1.Counter"));
  const gateway = await startGateway({ listen: { port: 0 }, admin: null, policy, link, accessLog: "off" });
  t.after(() => gateway.stop(0));
  const answer = await ask(gateway.port, "/v1/counter:count", { method: "POST", body: '{"count":"41"}' });
  assert.deepEqual([answer.status, answer.body], [200, '{"count":"42"}']);

  const web = await beside("web", 1);
  const callers = createRuntime({ env: { WEFT_SIDECAR: `127.0.0.1:${web.sidecar.outbound.port}` } });
  t.after(() => callers.close());
  assert.equal((await callers.connect(Counter).count({ count: 1n })).count, 2n);
});

test("a sidecar holds the services that its application uses, from their first call on", async (t) => {
  const { line, beside } = await mesh(t);
  const app = await startApp(t);
  for (const name of ["orders", "products", "payments"]) await beside(name, app.port);
  const { policy, link } = line();
  await link.subscribe("*");
  await until(() => ["orders", "products", "payments"].every((name) => policy.knows(name)));
  await until(() => policy.describe("orders", 0).length === 1);
  assert.equal(policy.describe("orders", 0)[0].endpoint.metadata.tags, "canary,blue");
  const web = await beside("web", 1);
  assert.deepEqual(
    ["orders", "products"].map((name) => web.policy.knows(name)),
    [false, false],
  );
  const { port } = web.sidecar.outbound;
  assert.equal((await ask(port, "/", { method: "POST", headers: { host: "orders.weft" }, body: "first" })).status, 200);
  assert.deepEqual(
    ["orders", "products", "payments"].map((name) => web.policy.knows(name)),
    [true, false, false],
  );
});

test("an application that goes is out of rotation, and back when it is", async (t) => {
  const { line, beside } = await mesh(t);
  const app = await startApp(t, undefined, await new Ports().take());
  await beside("orders", app.port);
  const { policy, link } = line();
  await link.subscribe("orders");
  const health = () =>
    policy
      .describe("orders", performance.now())
      .map(({ endpoint }) => endpoint.health)
      .join();
  await until(() => health() === "healthy");
  app.server.closeAllConnections();
  await new Promise((resolve) => app.server.close(resolve));
  await until(() => health() === "unhealthy");
  await new Promise<void>((resolve) => app.server.listen(app.port, "127.0.0.1", resolve));
  await until(() => health() === "healthy");
});
