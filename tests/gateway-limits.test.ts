import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { createRuntime, type Server, serve, service } from "weftmesh";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { createDirectClient } from "../src/call/direct.ts";
import { Metadata } from "../src/call/metadata.ts";
import { descriptorSetOf } from "../src/contract/contract-set.ts";
import type { WeftError } from "../src/core/errors.ts";
import type { Link, ServiceContract } from "../src/link/types.ts";
import type { SharedLimitRequest } from "../src/policy/limit/shared-limit.ts";
import type { Resource } from "../src/policy/resource/resources.ts";
import type { MethodInfo, PolicyRuntime } from "../src/policy/runtime.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { type Gateway, startGateway } from "../src/proxy/gateway.ts";
import { rateLimit, traffic } from "../src/system.ts";

// Limits at the gateway, over real connections: REST that is turned into gRPC, and gRPC that is passed through.

let server: Server;
let policy: PolicyRuntime;
let gateway: Gateway;
let handled = 0;
let asked: SharedLimitRequest[] = [];
let revision = 0;

const methods = Counter.methods.map(
  ({ name }): MethodInfo => ({
    path: `/${Counter.typeName}/${name}`,
    service: "counter",
    idempotent: true,
    clientStreaming: name === "Sum" || name === "Chat",
    serverStreaming: name === "Watch" || name === "Chat",
  }),
);

before(async () => {
  const counter = service(Counter, {
    async count({ count }) {
      handled++;
      if (count === 100n) await new Promise((resolve) => setTimeout(resolve, 50));
      return { count: count + 1n };
    },
  });
  server = await serve(counter, { port: 0, runtime: createRuntime({ env: {} }) });
  policy = createPolicyRuntime();
  const where = { host: server.host, port: server.port, version: "", zone: "", weight: 1 };
  const endpoint = { id: "counter-1", service: "counter", ...where, protocol: "h2c", health: "healthy", metadata: {} };
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed: [endpoint as never], removed: [] });
  const contracts: ServiceContract[] = [
    { service: "counter", contracts: [Counter.typeName], descriptors: descriptorSetOf([Counter]) },
  ];
  const link = {
    watchContracts: (listener: (contracts: readonly ServiceContract[]) => void) => listener(contracts),
  } as Link;
  const queries = {
    "shared-limit": ({ about }: { about: unknown }, answer: (result: unknown) => void) => {
      asked.push(about as SharedLimitRequest);
      setImmediate(() => answer({ allowed: asked.length < 2, waitMs: 2_500, left: 0 }));
    },
  };
  gateway = await startGateway({ listen: { port: 0 }, policy, link, accessLog: "off", write: () => {}, queries });
});

beforeEach(() => {
  handled = 0;
  asked = [];
});

after(async () => {
  await gateway.stop(0);
  await server.stop(0);
});

function apply(resources: readonly Resource[]): void {
  policy.applyResources(++revision, resources, methods);
}

async function rest(count: number, headers: Record<string, string> = {}) {
  const url = `http://${gateway.host}:${gateway.port}/v1/counter:count`;
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ count: `${count}` }),
  });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, unknown> };
}

test("REST and gRPC count together, and both hear what is left", async () => {
  apply(rateLimit("counter").allow(2, "1h").named("hourly").tell().resources());
  const first = await rest(1);
  assert.deepEqual([first.status, first.headers.get("ratelimit")], [200, '"hourly";r=1;t=1800']);
  await using direct = createDirectClient(Counter, `${gateway.host}:${gateway.port}`);
  let headers = new Metadata();
  await direct.client.count({ count: 1n }, { onHeader: (got) => (headers = got) });
  assert.equal(headers.get("ratelimit-policy"), '"hourly";q=2;w=3600');
  const refused = (await direct.client.count({ count: 1n }).catch((thrown) => thrown)) as WeftError;
  assert.deepEqual([refused.code, refused.reason], ["resource_exhausted", "RATE_LIMITED"]);
  const last = await rest(1);
  assert.deepEqual([last.status, last.body.reason], [429, "RATE_LIMITED"]);
  assert.equal(handled, 2);
});

test("a field of the message is the key where the gateway makes the message", async () => {
  apply(rateLimit("counter").allow(1, "1h").byField("count").named("by-count").resources());
  const statuses = [];
  for (const count of [1, 2, 1]) statuses.push((await rest(count)).status);
  assert.deepEqual(statuses, [200, 200, 429]);
});

test("a dear method takes more of a limit", async () => {
  apply(
    rateLimit("counter")
      .allow(5, "1h")
      .cost({ methods: { "counter.v1.Counter/Count": 3 } })
      .resources(),
  );
  assert.deepEqual([(await rest(1)).status, (await rest(1)).status], [200, 429]);
});

test("calls in flight wait for each other at the gateway", async () => {
  apply(rateLimit("counter").inFlight(2, { queue: 10, maxWait: "10s" }).resources());
  const began = performance.now();
  const answers = await Promise.all(Array.from({ length: 8 }, () => rest(100)));
  assert.ok(answers.every(({ status }) => status === 200));
  const took = performance.now() - began;
  assert.ok(took > 190 && took < 5_000, `${took}`);
});

test("the shared limiter decides for the system", async () => {
  apply(rateLimit("counter").allow(10).byHeader("x-user").shared().named("shared").resources());
  assert.equal((await rest(1, { "x-user": "ann" })).status, 200);
  const refused = await rest(1, { "x-user": "ann" });
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "3"]);
  assert.deepEqual([asked[0].name, asked[0].key, asked[0].cost], ["shared", "ann", 1]);
});

test("admission at the gateway goes by its own load; metrics tell", async () => {
  apply(traffic("counter").admission({ sustained: "0s" }).resources());
  assert.equal((await rest(1)).status, 200);
  policy.process.load.tell(1, 1, 0, 60);
  let shed = 0;
  for (let i = 0; i < 20; i++) {
    policy.process.load.tell(1, 1, 0);
    const { status, body } = await rest(1);
    if (status === 503 && body.reason === "SHED") shed++;
  }
  assert.ok(shed > 10, `${shed}`);
  const metrics = await (await fetch(`http://${gateway.admin?.host}:${gateway.admin?.port}/metrics`)).text();
  assert.match(metrics, /weft_limited_total\{limit="hourly",verdict="denied"\} 2/);
  assert.match(metrics, new RegExp(`weft_shed_total\\{reason="event-loop",priority="5"\\} ${shed}`));
});
