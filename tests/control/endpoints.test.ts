import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { endpointToMessage } from "../../src/contract/endpoint-message.ts";
import { Health } from "../../src/contract/gen/weft/control/v1/control.ts";
import { Endpoints } from "../../src/contract/gen/weft/control/v1/endpoints.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { World } from "./world.ts";

const world = new World();
let registry: Registry;
let address: string;
before(async () => {
  registry = createMemoryRegistry();
  ({ address } = await world.start({ registry, dataDir: "" }));
});
after(() => world.close());

test("tools register, say how it is, and take away, over gRPC", async () => {
  const { client, close } = createDirectClient(Endpoints, address);
  const endpoint = endpointOf("alpha", 1, { version: "v1", metadata: { team: "a" } });
  await client.registerEndpoint({ endpoint: endpointToMessage(endpoint) });
  assert.deepEqual((await registry.query(["alpha"])).endpoints, [endpoint]);
  await client.setEndpointHealth({ id: "alpha-1", health: Health.DRAINING, reason: "by hand" });
  assert.equal((await registry.query(["alpha"])).endpoints[0].health, "draining");
  await client.deregisterEndpoint({ id: "alpha-1" });
  assert.deepEqual((await registry.query(["alpha"])).endpoints, []);
  await assert.rejects(client.deregisterEndpoint({ id: "alpha-1" }), { code: "not_found" });
  await close();
});

test("and over REST, ids with slashes included", async () => {
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`http://${address}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: await answer.json() };
  };
  const endpoint = { id: "alpha/10.0.0.2:9000", service: "alpha", host: "10.0.0.2", port: 9000 };
  assert.equal((await call("POST", "/v1/endpoints", { endpoint, ttlMs: 30_000 })).status, 200);
  assert.equal((await call("POST", "/v1/endpoints", { endpoint, ttlMs: 30_000 })).status, 200, "the same renews it");
  await registry.setHealth(endpoint.id, "unhealthy", "refused", "check");
  await call("POST", "/v1/endpoints", { endpoint, ttlMs: 30_000 });
  assert.equal((await registry.query(["alpha"])).endpoints[0].health, "unhealthy", "renewed, what checks found stays");
  const taken = await call("POST", "/v1/endpoints", { endpoint: { ...endpoint, port: 9001 } });
  assert.equal(taken.status, 409);
  assert.match(JSON.stringify(taken.json), /is an endpoint of alpha at 10\.0\.0\.2, port 9000, already/);
  assert.equal((await registry.query(["alpha"])).endpoints[0].port, 9000);
  assert.equal(
    (await call("POST", "/v1/endpoints", { endpoint: { ...endpoint, port: 9001 }, replace: true })).status,
    200,
  );
  assert.equal((await registry.query(["alpha"])).endpoints[0].port, 9001);
  const health = { id: endpoint.id, health: "HEALTH_UNHEALTHY" };
  assert.equal((await call("POST", "/v1/endpoint-health", health)).status, 200);
  assert.equal((await call("DELETE", `/v1/endpoints/${endpoint.id}`)).status, 200);
  assert.deepEqual((await registry.query(["*"])).endpoints, []);
});
