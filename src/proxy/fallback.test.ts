import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, CountResponseSchema } from "../../examples/counter/gen/counter/v1/counter.ts";
import { createDirectClient } from "../call/direct.ts";
import { codecOf } from "../contract/codec.ts";
import type { WeftError } from "../core/errors.ts";
import { traffic } from "../policy/builders.ts";
import type { FallbackSpec } from "../policy/resource/resources.ts";
import { startSecured } from "./secured.case.ts";

test("a gateway's fallback: JSON for HTTP callers, a message or a status for gRPC callers", async (t) => {
  const fallback = (answer: Partial<FallbackSpec>) =>
    traffic("shop")
      .retry(0)
      .fallback({ body: { queued: true }, status: 202, ...answer })
      .resources();
  const encoded = codecOf(CountResponseSchema).encode({ count: 7n });
  const world = await startSecured(t, fallback({ grpc: { body: Buffer.from(encoded).toString("base64") } }));
  world.runtime.applyEndpoints({ endpointVersion: 2, full: true, changed: [], removed: [] });

  const http = await fetch(`${world.url}/orders`, { method: "POST", body: "{}" });
  assert.equal(http.status, 202);
  assert.deepEqual(await http.json(), { queued: true });

  await using direct = createDirectClient(Counter, `127.0.0.1:${world.gateway.port}`);
  assert.equal((await direct.client.count({ count: 1n })).count, 7n);
  assert.equal(world.metric(/^weft_fallbacks_total\{shop,static\}/), 2);
  assert.match(world.decisions(), /fallback {3}answered by the policy's fixed answer/);

  world.apply(fallback({ grpc: { status: "resource_exhausted", message: "come back later" } }));
  await assert.rejects(direct.client.count({ count: 1n }), (error: WeftError) => {
    return error.code === "resource_exhausted" && error.message === "come back later";
  });
  world.apply(fallback({}));
  await assert.rejects(direct.client.count({ count: 1n }), (error: WeftError) => error.code === "unavailable");
});
