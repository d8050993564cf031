import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, CountResponseSchema } from "../../examples/counter/gen/counter/v1/counter.ts";
import { codecOf } from "../contract/codec.ts";
import type { WeftError } from "../core/errors.ts";
import { createUpstreamPool } from "../net/pool.ts";
import { rateLimit } from "../policy/builders.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { createCarrier } from "./carrier.ts";
import { createClient } from "./client.ts";
import { startWireServer, type WireCall, type WireServer } from "./loopback.case.ts";

// A typed client's own quota, over real connections.

function connect({ port }: WireServer, resources: readonly Resource[]) {
  const policy = createPolicyRuntime();
  policy.applyResources(1, resources, []);
  const where = { host: "127.0.0.1", port, version: "", zone: "", weight: 1 };
  const rest = { protocol: "h2c", health: "healthy", metadata: {} } as const;
  const changed = [{ id: "counter-1", service: "counter", ...where, ...rest }];
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const pool = createUpstreamPool({});
  const client = createClient(Counter, { carrier: createCarrier({ policy, pool }), service: "counter" });
  return { client, policy, [Symbol.asyncDispose]: () => pool.close(0) };
}

const reply = (call: WireCall): void => call.reply(codecOf(CountResponseSchema).encode({ count: 1n }));

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "",
    (thrown) => (thrown as WeftError).reason,
  );
}

test("a client keeps to its own quota, and limits of gateways are none of its business", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => reply(call);
  });
  const resources = [
    ...rateLimit("counter").allow(2, "1h").at("client").named("quota").resources(),
    ...rateLimit("counter").allow(1, "1h").named("gateway").resources(),
  ];
  await using it = connect(server, resources);
  const reasons = [];
  for (let i = 0; i < 3; i++) reasons.push(await reasonOf(it.client.count({})));
  assert.deepEqual(reasons, ["", "", "RATE_LIMITED"]);
  assert.equal(server.heads.length, 2);
});

test("calls that wait for others go on when those end, not when their time is over", async () => {
  let most = 0;
  await using server = await startWireServer((call) => {
    most = Math.max(most, server.open.size);
    call.onEnd = () => setTimeout(() => reply(call), 5);
  });
  const limit = rateLimit("counter").inFlight(3, { queue: 50, maxWait: "30s" }).at("client").resources();
  await using it = connect(server, limit);
  const calls = Array.from({ length: 30 }, (_, i) => it.client.count({ count: BigInt(i) }));
  const began = performance.now();
  assert.equal((await Promise.all(calls)).length, 30);
  assert.ok(performance.now() - began < 5_000);
  assert.ok(most <= 3, `${most}`);
});

test("a quota for each value of a message's field", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => reply(call);
  });
  await using it = connect(server, rateLimit("counter").allow(1, "1h").byField("count").at("client").resources());
  const reasons = [];
  for (const count of [1n, 2n, 1n]) reasons.push(await reasonOf(it.client.count({ count })));
  assert.deepEqual(reasons, ["", "", "RATE_LIMITED"]);
});
