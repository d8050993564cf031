import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../../examples/counter/gen/counter/v1/counter.ts";
import { TestAuthority } from "../../net/identity.case.ts";
import { type Resource, WEFT_API } from "../../policy/resource/resources.ts";
import { service } from "../../service/definition.ts";
import { createRuntime } from "../../service/runtime.ts";
import { serve } from "../../service/serve.ts";
import { ask, echoWebSockets, endpointOf, startApp, startTestSidecar, webSocketEcho } from "./sidecar.case.ts";

const ONLY_WEB: Resource = {
  apiVersion: WEFT_API,
  kind: "Authorization",
  metadata: { name: "orders" },
  spec: {
    targetRefs: [{ kind: "Service", name: "orders" }],
    default: "deny",
    rules: [{ action: "allow", peers: ["spiffe://shop/web"] }],
  },
};

test("an application is told who calls by what the caller proved, and policy goes by it", async (t) => {
  const shop = new TestAuthority();
  const app = await startApp(t);
  const identity = shop.identity("orders");
  const resources = [ONLY_WEB];
  const orders = await startTestSidecar(t, "orders", app.port, { identity, mutualTls: () => "permissive", resources });
  const endpoints = [endpointOf(orders, "orders", { identity: identity.id })];
  const callOf = async (caller: string) => {
    const beside = await startTestSidecar(t, caller, 1, { endpoints, identity: shop.identity(caller) });
    const headers = {
      host: "orders",
      "x-weft-peer": "spiffe://shop/web",
      "x-forwarded-for": "10.1.2.3",
      "x-weft-lane": "blue",
    };
    return ask(beside.outbound.port, "/", { headers });
  };
  assert.equal((await callOf("web")).status, 200);
  assert.equal((await callOf("stranger")).status, 403);
  // In plain text nobody has proved anything, whatever is said.
  const plain = await ask(orders.inbound.port, "/", { headers: { "x-weft-peer": "spiffe://shop/web" } });
  assert.equal(plain.status, 403);
  assert.equal(app.requests.length, 1);
  const { headers } = app.requests[0];
  assert.equal(headers["x-weft-peer"], "spiffe://shop/web");
  assert.equal(headers["x-weft-lane"], "blue");
  assert.equal(headers["x-forwarded-for"], "10.1.2.3, 127.0.0.1");
});

test("a strict service takes no plain text, and callers no other identity than the registry says", async (t) => {
  const shop = new TestAuthority();
  const app = await startApp(t);
  const identity = shop.identity("orders");
  const orders = await startTestSidecar(t, "orders", app.port, { identity, mutualTls: () => "strict" });
  await assert.rejects(ask(orders.inbound.port, "/"));
  const web = await startTestSidecar(t, "web", 1, {
    endpoints: [endpointOf(orders, "orders", { identity: "spiffe://shop/payments" })],
    identity: shop.identity("web"),
  });
  const { status } = await ask(web.outbound.port, "/", { headers: { host: "orders" } });
  assert.equal(status, 503);
  const other = await startTestSidecar(t, "web", 1, {
    endpoints: [endpointOf(orders, "orders", { identity: identity.id })],
    identity: new TestAuthority("other").identity("web"),
  });
  assert.equal((await ask(other.outbound.port, "/", { headers: { host: "orders" } })).status, 503);
  assert.equal(app.requests.length, 0);
});

test("a strict service is closed while its sidecar has no identity to prove", async (t) => {
  const app = await startApp(t);
  let mode: "strict" | "permissive" = "strict";
  const orders = await startTestSidecar(t, "orders", app.port, { mutualTls: () => mode });
  await assert.rejects(ask(orders.inbound.port, "/"));
  await assert.rejects(ask(orders.inbound.port, "/"));
  assert.equal(app.requests.length, 0);
  assert.equal(orders.problems.filter((problem) => problem.includes("has no identity")).length, 1);
  mode = "permissive";
  assert.equal((await ask(orders.inbound.port, "/")).status, 200);
});

test("a typed service beside its sidecar knows its callers, too", async (t) => {
  const shop = new TestAuthority();
  const peers: string[] = [];
  const counter = service(Counter, {
    count({ count }, call) {
      peers.push(call.peer.identity);
      return { count };
    },
  });
  const runtime = createRuntime({ env: { WEFT_SIDECAR: "127.0.0.1:1" } });
  const server = await serve(counter, { port: 0, runtime, quiet: true });
  t.after(async () => {
    await server.stop(0);
    await runtime.close();
  });
  const identity = shop.identity("counter");
  const beside = await startTestSidecar(t, "counter", server.port, { identity, appProtocol: "h2c" });
  const endpoints = [endpointOf(beside, "counter", { identity: identity.id })];
  const web = await startTestSidecar(t, "web", 1, { endpoints, identity: shop.identity("web") });
  const callers = createRuntime({ env: { WEFT_SIDECAR: `127.0.0.1:${web.outbound.port}` } });
  t.after(() => callers.close());
  await callers.connect(Counter, { service: "counter" }).count({ count: 1n });
  assert.deepEqual(peers, ["spiffe://shop/web"]);
});

test("a WebSocket goes over mutual TLS", async (t) => {
  const shop = new TestAuthority();
  const app = await startApp(t);
  echoWebSockets(app.server);
  const identity = shop.identity("orders");
  const orders = await startTestSidecar(t, "orders", app.port, { identity });
  const endpoints = [endpointOf(orders, "orders", { identity: identity.id })];
  const web = await startTestSidecar(t, "web", 1, { endpoints, identity: shop.identity("web") });
  assert.equal(await webSocketEcho(web.outbound.port, "orders.weft"), "hello");
});
