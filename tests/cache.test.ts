import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createRuntime, serve, service } from "weftmesh";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { descriptorSetOf } from "../src/contract/contract-set.ts";
import type { Link, ServiceContract } from "../src/link/types.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { startGateway } from "../src/proxy/gateway.ts";
import { traffic } from "../src/system.ts";
import { startLoopbackGateway } from "./loopback-gateway.ts";

test("a gateway answers from its cache: hits, validation, invalidation, ranges, one fetch for many", async () => {
  let version = 1;
  await using world = await startLoopbackGateway(traffic("origin").cache().resources(), (request, response) => {
    const etag = `"v${version}"`;
    const path = request.url ?? "";
    // Ages count from the date, which is of whole seconds: one that has just begun would be as long.
    response.sendDate = false;
    response.setHeader("cache-control", path.startsWith("/short") ? "max-age=0, must-revalidate" : "max-age=60");
    response.setHeader("etag", etag);
    if (request.method === "POST") version++;
    if (request.headers["if-none-match"] === etag) response.writeHead(304).end();
    // So slow that all who ask for it at once have asked before it answers.
    else if (path === "/slow") setTimeout(() => response.end(`version ${version}`), 1_000);
    else response.end(`version ${version}`);
  });
  const first = await world.call("/a");
  assert.deepEqual(
    [first.body, first.headers["cache-status"]],
    ["version 1", "weft; fwd=uri-miss; fwd-status=200; stored"],
  );
  const hit = await world.call("/a");
  assert.deepEqual([hit.body, hit.headers.etag, hit.headers.age], ["version 1", '"v1"', "0"]);
  assert.match(String(hit.headers["cache-status"]), /^weft; hit; ttl=(59|60)$/);
  assert.equal((await world.call("/a", { headers: { "if-none-match": '"v1"' } })).status, 304);
  assert.equal((await world.call("/a", { headers: { range: "bytes=0-6" } })).body, "version");
  const head = await world.call("/a", { method: "HEAD" });
  assert.deepEqual([head.status, head.headers["content-length"], head.body], [200, "9", ""]);
  assert.equal(world.seen.length, 1);

  await world.call("/short");
  const validated = await world.call("/short");
  assert.deepEqual(
    [validated.body, validated.headers["cache-status"]],
    ["version 1", "weft; fwd=stale; fwd-status=304"],
  );
  assert.equal(world.seen[2].headers["if-none-match"], '"v1"');

  assert.equal((await world.call("/a", { method: "POST" })).status, 200);
  assert.equal((await world.call("/a")).body, "version 2");

  const asked = world.seen.length;
  const many = await Promise.all(Array.from({ length: 10 }, () => world.call("/slow")));
  assert.deepEqual(new Set(many.map(({ body }) => body)), new Set(["version 2"]));
  assert.equal(world.seen.length, asked + 1);
  const [[policy, { counts }]] = world.policy.caches();
  assert.equal(policy, "TrafficPolicy origin");
  assert.equal(counts.collapsed, 9);
});

test("a large stored answer waits at the caller's pace, and comes whole", async () => {
  const body = Buffer.alloc(900_000, "0123456789");
  await using world = await startLoopbackGateway(traffic("origin").cache().resources(), (_request, response) => {
    response.setHeader("cache-control", "max-age=60");
    response.end(body);
  });
  await world.call("/a");
  const { host, port } = world.gateway;
  const slow = await new Promise<{ body: Buffer; status: unknown }>((resolve, reject) => {
    httpRequest({ host, port, path: "/a", agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.pause();
      setTimeout(() => response.resume(), 50);
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => resolve({ body: Buffer.concat(pieces), status: response.headers["cache-status"] }));
    })
      .on("error", reject)
      .end();
  });
  assert.match(String(slow.status), /hit/);
  assert.ok(slow.body.equals(body));
  assert.equal(world.seen.length, 1);
});

test("a stale answer is given at once and renewed beside it; a failing service is covered by it", async () => {
  let version = 1;
  let fails = false;
  const policies = traffic("origin").cache({ staleWhileRevalidate: "30s" }).retry(0).resources();
  await using world = await startLoopbackGateway(policies, (request, response) => {
    if (fails) response.writeHead(503).end("no");
    else {
      response.setHeader("cache-control", request.url === "/b" ? "max-age=0, stale-if-error=60" : "max-age=0");
      response.end(`version ${version}`);
    }
  });
  await world.call("/a");
  version = 2;
  assert.equal((await world.call("/a")).body, "version 1");
  for (let i = 0; world.seen.length < 2 && i < 50; i++) await sleep(5);
  await sleep(10);
  assert.equal(world.seen.length, 2);
  assert.equal((await world.call("/a")).body, "version 2");
  await world.call("/b", { headers: { "cache-control": "max-age=0" } });
  fails = true;
  const covered = await world.call("/b", { headers: { "cache-control": "max-age=0" } });
  assert.deepEqual([covered.status, covered.body], [200, "version 2"]);
});

test("REST that the gateway turns into gRPC is kept as the REST answer that it became", async () => {
  let calls = 0;
  const counter = service(Counter, {
    count: ({ count }) => ({ count: count + 1n }),
    async *watch() {},
    sum: () => ({ sum: 0n }),
    hello(_request, call) {
      calls++;
      call.setHeader("cache-control", "max-age=60");
      return { contentType: "text/plain", data: Buffer.from("hello") };
    },
  });
  const server = await serve(counter, { port: 0, runtime: createRuntime({ env: {} }) });
  const policy = createPolicyRuntime();
  const stream = { clientStreaming: false, serverStreaming: false };
  policy.applyResources(1, traffic("counter").cache().resources(), [
    { path: "/counter.v1.Counter/Hello", service: "counter", idempotent: true, ...stream },
  ]);
  const parts = { version: "", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
  const changed = [{ id: "counter-1", service: "counter", host: server.host, port: server.port, ...parts }];
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const contracts: ServiceContract[] = [
    { service: "counter", contracts: [Counter.typeName], descriptors: descriptorSetOf([Counter]) },
  ];
  const link = { watchContracts: (listener: (all: readonly ServiceContract[]) => void) => listener(contracts) } as Link;
  const gateway = await startGateway({ listen: { port: 0 }, policy, link, write: () => {} });
  const call = (path: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
      httpRequest({ host: gateway.host, port: gateway.port, path, headers, agent: false }, (response) => {
        let body = "";
        response.on("data", (chunk) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      })
        .on("error", reject)
        .end();
    });
  try {
    const path = "/counter";
    const first = await call(path);
    const second = await call(path);
    assert.equal(first.status, 200);
    assert.deepEqual(
      [second.body, second.headers["content-type"], calls],
      [first.body, first.headers["content-type"], 1],
    );
    assert.equal(second.headers.etag, first.headers.etag);
    assert.match(String(second.headers["cache-status"]), /hit/);
    assert.equal((await call(path, { "if-none-match": String(first.headers.etag) })).status, 304);
  } finally {
    await gateway.stop(0);
    await server.stop();
  }
});
