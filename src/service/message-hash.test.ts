import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { createCarrier } from "../call/carrier.ts";
import { createClient } from "../call/client.ts";
import { createUpstreamPool } from "../net/pool.ts";
import { traffic } from "../policy/builders.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { service } from "./definition.ts";
import { createRuntime } from "./runtime.ts";
import { serve } from "./serve.ts";

test("a typed client's calls with the same message field, or the same metadata, go to the same server", async () => {
  const runtime = createRuntime({ env: {} });
  const counter = service(Counter, { count: ({ count }) => ({ count }) });
  const servers = [await serve(counter, { port: 0, runtime }), await serve(counter, { port: 0, runtime })];
  const pool = createUpstreamPool({});
  try {
    const rest = { version: "", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
    const changed = servers.map(({ port }, i) => ({
      id: `counter-${i}`,
      service: "counter",
      host: "127.0.0.1",
      port,
      ...rest,
    }));
    for (const key of [{ by: "message", name: "count" } as const, { by: "header", name: "x-user" } as const]) {
      const policy = createPolicyRuntime({ record: "all" });
      policy.applyResources(
        1,
        traffic("counter")
          .balancer("maglev", { tableSize: 251, hash: [key] })
          .resources(),
        [],
      );
      policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
      const client = createClient(Counter, { carrier: createCarrier({ policy, pool }), service: "counter" });
      const placeOf = async (user: number): Promise<string> => {
        let place = "";
        await client.count(
          { count: BigInt(user) },
          {
            metadata: { "x-user": `user-${user}` },
            onDecision: ({ attempts: [{ endpoint, why }] }) => {
              assert.match(why, new RegExp(`^maglev: place \\d+ for ${key.by} ${key.name}, hash`));
              place = endpoint;
            },
          },
        );
        return place;
      };
      const seen = new Set<string>();
      for (let user = 0; user < 12; user++) {
        const place = await placeOf(user);
        assert.equal(await placeOf(user), place);
        seen.add(place);
      }
      assert.equal(seen.size, 2);
    }
  } finally {
    await pool.close(0);
    for (const server of servers) await server.stop(0);
    await runtime.close();
  }
});
