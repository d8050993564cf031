import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { createCarrier } from "../call/carrier.ts";
import { createDirectClient } from "../call/direct.ts";
import { Metadata } from "../call/metadata.ts";
import { systemClock } from "../core/clock.ts";
import { seededRandom } from "../core/random.ts";
import { listen } from "../net/listener.ts";
import { createUpstreamPool } from "../net/pool.ts";
import { route, traffic } from "../policy/builders.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { service } from "../service/definition.ts";
import { createRuntime } from "../service/runtime.ts";
import { serve } from "../service/serve.ts";
import { IdSource } from "../telemetry/trace.ts";
import { createProxyHandler } from "./handler.ts";

test("the proxy asks servers for their load where its balancer goes by it, and callers neither ask nor hear of it", async () => {
  const runtime = createRuntime({ env: {} });
  const hello = () => ({ contentType: "text/plain", data: Buffer.from("Hello!") });
  const server = await serve(service(Counter, { count: ({ count }) => ({ count }), hello }), { port: 0, runtime });
  const pool = createUpstreamPool({});
  for (const kind of ["by-load", "p2c"] as const) {
    const policy = createPolicyRuntime();
    const resources = [...route("/").to("counter").resources(), ...traffic("counter").balancer(kind).resources()];
    policy.applyResources(1, resources, []);
    const rest = { version: "", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
    const changed = [{ id: "counter-1", service: "counter", host: "127.0.0.1", port: server.port, ...rest }];
    policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
    const handler = createProxyHandler({
      carrier: createCarrier({ policy, pool }),
      clock: systemClock,
      ids: new IdSource(seededRandom(1)),
      rest: null,
      transcode: null,
      local: null,
      trustedProxies: null,
      maxMessageBytes: 1 << 20,
      maxBufferedBytes: 1 << 20,
      onEnd() {},
    });
    const listener = await listen({ handler });
    const ask = { "endpoint-load-metrics-format": "TEXT" };
    const answer = await fetch(`http://127.0.0.1:${listener.port}/counter`, { headers: ask });
    assert.equal(await answer.text(), "Hello!");
    assert.equal(answer.headers.get("endpoint-load-metrics"), null);
    const direct = createDirectClient(Counter, `127.0.0.1:${listener.port}`);
    let trailers = new Metadata();
    await direct.client.count({ count: 1n }, { metadata: ask, onTrailer: (got) => void (trailers = got) });
    assert.equal(trailers.get("endpoint-load-metrics"), undefined);
    assert.equal(policy.describe("counter", 0)[0].load !== null, kind === "by-load");
    await direct[Symbol.asyncDispose]();
    await listener.close();
  }
  await pool.close(0);
  await server.stop(0);
  await runtime.close();
});
