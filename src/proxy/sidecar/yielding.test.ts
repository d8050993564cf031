import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../../examples/counter/gen/counter/v1/counter.ts";
import { WeftError } from "../../core/errors.ts";
import { rateLimit } from "../../policy/builders.ts";
import { GATEWAY_API, type Resource, WEFT_API } from "../../policy/resource/resources.ts";
import type { MethodInfo } from "../../policy/runtime.ts";
import { service } from "../../service/definition.ts";
import { createRuntime } from "../../service/runtime.ts";
import { serve } from "../../service/serve.ts";
import { endpointOf, startTestSidecar } from "./sidecar.case.ts";

const COUNT: MethodInfo = {
  path: "/counter.v1.Counter/Count",
  service: "counter",
  idempotent: true,
  clientStreaming: false,
  serverStreaming: false,
};
const RESOURCES: Resource[] = [
  {
    apiVersion: WEFT_API,
    kind: "TrafficPolicy",
    metadata: { name: "counter" },
    spec: {
      targetRefs: [{ kind: "Service", name: "counter" }],
      retry: { attempts: 2, on: ["unavailable"], backoff: { base: "1ms" } },
      breaker: { enabled: false },
    },
  },
  {
    apiVersion: GATEWAY_API,
    kind: "GRPCRoute",
    metadata: { name: "halves" },
    spec: {
      parentRefs: [{ group: "", kind: "Service", name: "counter" }],
      rules: [
        {
          backendRefs: [
            { name: "counter@v1", weight: 1 },
            { name: "counter@v2", weight: 1 },
          ],
        },
      ],
    },
  },
  ...rateLimit("counter").allow(1_000, "1h").at("client").resources(),
  ...rateLimit("counter").named("inbound").allow(1_000, "1h").at("server").resources(),
];

test("a typed client and a typed server beside sidecars leave policy to them: attempts, limits and splits happen once", async (t) => {
  const seen = { v1: 0, v2: 0 };
  const peers = new Set<string>();
  let failing = false;
  const startVersion = async (version: "v1" | "v2") => {
    const counter = service(Counter, {
      count: ({ count }, call) => {
        seen[version]++;
        peers.add(call.peer.identity);
        if (failing) throw new WeftError("unavailable", "not now");
        return { count: count + 1n };
      },
    });
    const runtime = createRuntime({ env: { WEFT_SIDECAR: "127.0.0.1:1" } });
    runtime.policy.applyResources(1, RESOURCES, [COUNT]);
    const server = await serve(counter, { port: 0, runtime, quiet: true });
    const sidecar = await startTestSidecar(t, "counter", server.port, {
      resources: RESOURCES,
      methods: [COUNT],
      appProtocol: "h2c",
    });
    t.after(async () => {
      await server.stop(0);
      await runtime.close();
    });
    return { runtime, sidecar, endpoint: endpointOf(sidecar, "counter", { version }) };
  };
  const v1 = await startVersion("v1");
  const v2 = await startVersion("v2");
  const endpoints = [v1.endpoint, v2.endpoint];
  const web = await startTestSidecar(t, "web", 1, { endpoints, resources: RESOURCES, methods: [COUNT] });

  const callers = createRuntime({ env: { WEFT_SIDECAR: `127.0.0.1:${web.outbound.port}` } });
  t.after(() => callers.close());
  callers.policy.applyResources(1, RESOURCES, [COUNT]);
  callers.policy.applyEndpoints({ endpointVersion: 1, full: true, changed: endpoints, removed: [] });
  const client = callers.connect(Counter);

  for (let i = 0; i < 100; i++) assert.equal((await client.count({ count: 1n })).count, 2n);
  assert.equal(seen.v1 + seen.v2, 100);
  assert.ok(seen.v1 > 20 && seen.v2 > 20, `${seen.v1} and ${seen.v2}`);
  assert.deepEqual([...peers], [""]);
  const allowed = (policy: typeof web.policy, name: string) =>
    policy
      .limitCounts()
      .filter((limit) => limit.name === name)
      .map(({ counts }) => counts.passed);
  assert.deepEqual(allowed(web.policy, "counter"), [100]);
  assert.equal(allowed(v1.sidecar.policy, "inbound")[0] + allowed(v2.sidecar.policy, "inbound")[0], 100);
  for (const { policy } of [callers, v1.runtime, v2.runtime]) assert.deepEqual(policy.limitCounts(), []);

  failing = true;
  seen.v1 = seen.v2 = 0;
  await assert.rejects(client.count({ count: 1n }), { code: "unavailable" });
  assert.equal(seen.v1 + seen.v2, 3);
  assert.deepEqual(allowed(web.policy, "counter"), [101]);

  // By its name in the registry, too.
  failing = false;
  assert.equal((await callers.connect(Counter, { service: "counter" }).count({ count: 4n })).count, 5n);
});
