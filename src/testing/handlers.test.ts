import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../contract/gen/grpc/health/v1/health.ts";
import { WeftError } from "../core/errors.ts";
import { authentication, route, traffic } from "../policy/builders.ts";
import { service } from "../service/definition.ts";
import { simulate } from "./simulate.ts";
import type { SimulatedSystem } from "./types.ts";

const counter = service(Counter, {
  count({ count }, call) {
    if (count < 0n) throw new WeftError("invalid_argument", "count is below 0");
    call.setHeader("x-served", "yes");
    return { count: count + 1n };
  },
  async *watch({ from, limit }) {
    for (let n = 0; n < limit; n++) yield { count: from + BigInt(n) };
  },
});

const system: SimulatedSystem = { services: { counter: { definition: counter, replicas: 2, latencyMs: 4 } } };

test("the user's handlers answer gRPC calls, once the modelled time is over", async () => {
  const world = simulate(system);
  const call = await world.call("counter.v1.Counter/Count", { message: { count: 41n } });
  assert.equal((call.message as { count: bigint }).count, 42n);
  assert.deepEqual([call.grpcStatus, call.durationMs, call.fields["x-served"]], [0, 4, "yes"]);
  const wrong = await world.call("counter.v1.Counter/Count", { message: { count: -1n } });
  assert.deepEqual([wrong.grpcStatus, wrong.ok], [3, false]);
  const none = await world.call("counter.v1.Counter/Sum", { message: [] });
  assert.equal(none.grpcStatus, 12);
});

test("REST requests are turned into calls as the contract says", async () => {
  const world = simulate(system);
  const call = await world.call("POST /v1/counter:count", { body: '{"count":"6"}' });
  assert.deepEqual([call.status, call.body], [200, '{"count":"7"}']);
  const wrong = await world.call("POST /v1/counter:count", { body: '{"count":"-1"}' });
  assert.equal(wrong.status, 400);
});

test("typed clients call through the mesh, under its policy", async () => {
  const world = simulate({ ...system, policies: [traffic("counter").timeout("50ms").retry(2)] });
  const client = world.connect(Counter);
  assert.equal((await client.count({ count: 1n })).count, 2n);
  const seen: bigint[] = [];
  for await (const { count } of client.watch({ from: 5n, limit: 2 })) seen.push(count);
  assert.deepEqual(seen, [5n, 6n]);
  await assert.rejects(client.count({ count: -1n }), { code: "invalid_argument" });
  await assert.rejects(() => simulate({ services: {} }).connect(Counter).count({}), { reason: "UNKNOWN_CONTRACT" });
  world.fault("counter", { stallMs: 1_000 });
  await assert.rejects(client.count({ count: 1n }), { code: "deadline_exceeded", reason: "DEADLINE_EXCEEDED" });
});

test("a handler's client is of a service that may come after its own", async () => {
  const world = simulate({
    services: {
      health: {
        definition: (mesh) => {
          const next = mesh.connect(Counter);
          return service(Health, {
            async check() {
              const { count } = await next.count({ count: 0n });
              return { status: count === 1n ? Status.SERVING : Status.NOT_SERVING };
            },
          });
        },
      },
      ...system.services,
    },
  });
  assert.equal((await world.connect(Health).check({})).status, Status.SERVING);
});

test("handlers call others through the mesh, in virtual time, within their caller's deadline", async () => {
  const world = simulate({
    services: {
      front: {
        latencyMs: 1,
        definition: (mesh) => {
          const next = mesh.connect(Counter, { service: "counter" });
          return service(Counter, {
            async count({ count }) {
              await mesh.sleep(100);
              return await next.count({ count });
            },
          });
        },
      },
      counter: { definition: counter, latencyMs: 30 },
    },
    routes: [route("/counter.v1.Counter").to("front")],
  });
  const call = await world.call("counter.v1.Counter/Count", { message: { count: 1n } });
  assert.deepEqual([(call.message as { count: bigint }).count, call.durationMs], [2n, 131]);
  assert.deepEqual(
    world.decisions().map(({ place, service: name }) => `${place} ${name}`),
    ["client counter", "gateway front"],
  );
  const late = await world.call("counter.v1.Counter/Count", { message: { count: 1n }, deadlineMs: 110 });
  assert.deepEqual([late.reason, late.durationMs], ["DEADLINE_EXCEEDED", 110]);
  assert.equal(world.decisions({ place: "client" }).at(-1)?.outcome.reason, "CANCELLED");
});

test("a handler that waits for nothing in virtual time is told of", { timeout: 20_000 }, async () => {
  const world = simulate({
    services: { counter: { definition: service(Counter, { count: () => new Promise<never>(() => {}) }) } },
    policies: [traffic("*").timeout(0)],
  });
  await assert.rejects(world.call("counter.v1.Counter/Count", { message: {} }), /waits for nothing in virtual time/);
});

test("under load handlers run side by side", async () => {
  const world = simulate(system);
  const seen = await world.load(
    { grpcMethod: "counter.v1.Counter/Count", message: { count: 1n } },
    { perSecond: 1_000, forMs: 1_000, arrivals: "even" },
  );
  assert.deepEqual([seen.calls, seen.succeeded], [1_000, 1_000]);
});

test("handlers see whom the gates of their server have authenticated", async () => {
  const seen: unknown[] = [];
  const definition = service(Counter, {
    count({ count }, { principal, priority }) {
      seen.push([principal.subject, principal.claims, priority]);
      return { count };
    },
  });
  const sha256 = createHash("sha256").update("key").digest("hex");
  const keys = authentication("shop").apiKey({ consumers: [{ name: "alice", sha256, claims: { tier: "gold" } }] });
  const admission = traffic("counter").admission({
    priorities: [{ priority: 8, claim: { name: "tier", value: "gold" } }],
  });
  const world = simulate({
    services: { counter: { definition } },
    policies: [keys.on("counter").at("server"), admission],
  });
  const call = { message: { count: 1n }, headers: { "x-api-key": "key" } };
  assert.equal((await world.call("counter.v1.Counter/Count", call)).grpcStatus, 0);
  world.apply([]);
  assert.equal((await world.call("counter.v1.Counter/Count", call)).grpcStatus, 0);
  assert.deepEqual(seen, [
    ["alice", { tier: "gold" }, 8],
    ["", {}, 5],
  ]);
});
