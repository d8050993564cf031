import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { createRuntime, serve, service } from "weftmesh";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { descriptorSetOf } from "../src/contract/contract-set.ts";
import type { Link, ServiceContract } from "../src/link/types.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { startGateway } from "../src/proxy/gateway.ts";
import { authentication, authorization } from "../src/system.ts";

test("REST that becomes gRPC is judged like gRPC: credentials, rules on either form, fields of claims", async (t) => {
  const seen: Record<string, string | undefined>[] = [];
  const counter = service(Counter, {
    count: ({ count }, call) => {
      const { requestHeaders: headers } = call;
      seen.push(Object.fromEntries(["x-role", "x-api-key"].map((name) => [name, headers.get(name)])));
      return { count: count + 1n };
    },
  });
  const runtime = createRuntime({ env: {} });
  const server = await serve(counter, { port: 0, runtime });
  const policy = createPolicyRuntime();
  const sha256 = (key: string): string => createHash("sha256").update(key).digest("hex");
  const consumers = ["owner", "guest"].map((role) => ({
    name: role,
    sha256: sha256(`key-of-${role}`),
    claims: { role },
  }));
  const keys = authentication("shop")
    .apiKey({ consumers }, { claimHeaders: [{ claim: "role", header: "x-role" }] })
    .on("counter");
  const rules = authorization("counter")
    .allow({ methods: ["counter.v1.Counter/Count"], claims: [{ claim: "role", equals: "owner" }] })
    .deny({ paths: ["/v1/*"], headers: [{ name: "x-blocked", exists: true }] });
  const method = { service: "counter", idempotent: true, clientStreaming: false, serverStreaming: false };
  policy.applyResources(
    1,
    [...keys.resources(), ...rules.resources()],
    [{ path: "/counter.v1.Counter/Count", ...method }],
  );
  const at = { id: "counter-1", service: "counter", host: server.host, port: server.port, version: "", zone: "" };
  const changed = [{ ...at, weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const];
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const contracts: ServiceContract[] = [
    { service: "counter", contracts: [Counter.typeName], descriptors: descriptorSetOf([Counter]) },
  ];
  const link = {
    watchContracts: (listener: (contracts: readonly ServiceContract[]) => void) => listener(contracts),
  } as Link;
  const gateway = await startGateway({ listen: {}, admin: null, policy, link, write: () => {} });
  t.after(async () => {
    await gateway.stop(0);
    await server.stop(0);
    await runtime.close();
  });
  const call = async (headers: Record<string, string> = {}): Promise<[number, string, string | null]> => {
    const body = JSON.stringify({ count: "1" });
    const sent = { method: "POST", headers: { "content-type": "application/json", ...headers }, body };
    const response = await fetch(`http://127.0.0.1:${gateway.port}/v1/counter:count`, sent);
    const { reason = "", count = "" } = (await response.json()) as { reason?: string; count?: string };
    return [response.status, reason || count, response.headers.get("www-authenticate")];
  };
  assert.deepEqual(await call(), [401, "AUTHENTICATION_REQUIRED", 'ApiKey realm="api-key:shop"']);
  assert.deepEqual(await call({ "x-api-key": "guess" }), [401, "TOKEN_INVALID", 'ApiKey realm="api-key:shop"']);
  assert.deepEqual(await call({ "x-api-key": "key-of-guest" }), [403, "FORBIDDEN", null]);
  assert.deepEqual(await call({ "x-api-key": "key-of-owner", "x-blocked": "1" }), [403, "FORBIDDEN", null]);
  assert.deepEqual(await call({ "x-api-key": "key-of-owner", "x-role": "root" }), [200, "2", null]);
  assert.deepEqual(seen, [{ "x-role": "owner", "x-api-key": undefined }]);
});
