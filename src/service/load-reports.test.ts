import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { createCarrier } from "../call/carrier.ts";
import { createClient } from "../call/client.ts";
import { Metadata } from "../call/metadata.ts";
import { createUpstreamPool } from "../net/pool.ts";
import { traffic } from "../policy/builders.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { service } from "./definition.ts";
import { createRuntime } from "./runtime.ts";
import { serve } from "./serve.ts";

const counter = service(Counter, {
  count: ({ count }) => ({ count: count + 1n }),
  hello: () => ({ data: Buffer.from("Hello") }),
});

async function started() {
  const runtime = createRuntime({ env: {} });
  const server = await serve(counter, { port: 0, runtime, utilization: () => 0.5 });
  return {
    server,
    runtime,
    async [Symbol.asyncDispose]() {
      await server.stop(100);
      await runtime.close();
    },
  };
}

test("a balancer that goes by load asks servers for it, and hears of it with the answers", async () => {
  await using it = await started();
  for (const [kind, wanted] of [
    ["by-load", true],
    ["prequal", true],
    ["p2c", false],
  ] as const) {
    const policy = createPolicyRuntime();
    policy.applyResources(1, traffic("counter").balancer(kind).resources(), []);
    const rest = { version: "", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
    policy.applyEndpoints({
      endpointVersion: 1,
      full: true,
      changed: [{ id: "counter-1", service: "counter", host: "127.0.0.1", port: it.server.port, ...rest }],
      removed: [],
    });
    const pool = createUpstreamPool({});
    const client = createClient(Counter, { carrier: createCarrier({ policy, pool }), service: "counter" });
    let trailers = new Metadata();
    await client.count({ count: 1n }, { onTrailer: (got) => void (trailers = got) });
    assert.equal(trailers.get("endpoint-load-metrics") !== undefined, wanted, kind);
    const { load } = policy.describe("counter", 0)[0];
    assert.equal(load?.utilization, wanted ? 0.5 : undefined, kind);
    await pool.close(0);
  }
});

test("REST callers that ask are told in the head, others are not", async () => {
  await using it = await started();
  const asked = await fetch(`http://${it.server.address}/counter`, {
    headers: { "endpoint-load-metrics-format": "TEXT" },
  });
  assert.match(
    asked.headers.get("endpoint-load-metrics") ?? "",
    /^TEXT .*application_utilization=0\.5,named_metrics\.rif=1$/,
  );
  const ordinary = await fetch(`http://${it.server.address}/counter`);
  assert.equal(ordinary.headers.get("endpoint-load-metrics"), null);
});
