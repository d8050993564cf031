import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveHealthCheck } from "../call/health/health-check.ts";
import { createProber } from "../call/health/probe.ts";
import { Health } from "../contract/gen/grpc/health/v1/health.ts";
import { Admin } from "../contract/gen/weft/control/v1/control.ts";
import { endpointOf } from "../registry/registry.case.ts";
import { service } from "./definition.ts";
import { createRuntime } from "./runtime.ts";
import { serve } from "./serve.ts";

test("grpc: SERVING passes, NOT_SERVING and unknown services fail, a closed port is refused", async () => {
  const server = await serve(service(Admin, {}), { runtime: createRuntime({ env: {} }), port: 0 });
  const endpoint = endpointOf("a", 1, { host: "127.0.0.1", port: server.port });
  const proberOf = (name: string) =>
    createProber(
      endpoint,
      resolveHealthCheck(endpoint, { defaults: { kind: "grpc", service: name, timeoutMs: 2_000 } }),
    );
  const whole = proberOf("");
  assert.deepEqual(await whole.probe(), { outcome: "passed", message: "" });
  assert.equal((await proberOf(Admin.typeName).probe()).outcome, "passed");
  const unknown = await proberOf(`${Health.typeName}Care`).probe();
  assert.equal(unknown.outcome, "failed");
  assert.match(unknown.message, /not_found/);
  await server.setReady(false);
  assert.deepEqual(await whole.probe(), { outcome: "failed", message: "grpc.health.v1 says NOT_SERVING" });
  await server.stop(0);
  assert.equal((await whole.probe()).outcome, "refused");
  whole.close();
});
