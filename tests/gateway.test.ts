import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createRuntime, type Server, serve, service } from "weftmesh";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { descriptorSetOf } from "../src/contract/contract-set.ts";
import type { Link, ServiceContract } from "../src/link/types.ts";
import type { PolicyRuntime } from "../src/policy/runtime.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { type Gateway, startGateway } from "../src/proxy/gateway.ts";
import { route } from "../src/system.ts";

/** What the service saw of the last Count call. */
let seen: Record<string, string | null> = {};
/** Called when a call for 500 has arrived. */
let arrived = (): void => {};

const counter = service(Counter, {
  async count({ count }, call) {
    seen = Object.fromEntries(
      ["x-request-id", "x-forwarded-for", "x-forwarded-host", "via", "x-custom", "traceparent"].map((name) => [
        name,
        call.requestHeaders.get(name) ?? null,
      ]),
    );
    if (count === 500n) {
      arrived();
      await sleep(300);
    }
    if (count === 13n) throw new Error("a secret of the handler");
    call.setHeader("x-answer", "yes");
    return { count: count + 1n };
  },
  async *watch({ from, limit }) {
    for (let n = from; n < from + BigInt(limit); n += 1n) yield { count: n };
  },
  async sum(requests) {
    let sum = 0n;
    for await (const { count } of requests) sum += count;
    return { sum };
  },
  hello: () => ({ contentType: "text/plain", data: Buffer.from("Hello, Counter Service!") }),
});

let server: Server;
let policy: PolicyRuntime;
let gateway: Gateway;
let log = "";

before(async () => {
  server = await serve(counter, { port: 0, runtime: createRuntime({ env: {} }) });
  policy = createPolicyRuntime();
  policy.applyResources(1, [], []);
  const endpoint = {
    id: "counter-1",
    service: "counter",
    host: server.host,
    port: server.port,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
  } as const;
  policy.applyEndpoints({
    endpointVersion: 1,
    full: true,
    changed: [endpoint, { ...endpoint, id: "legacy-1", service: "legacy" }],
    removed: [],
  });
  policy.applyResources(2, route("/legacy").to("legacy").resources(), [
    {
      path: "/counter.v1.Counter/Count",
      service: "counter",
      idempotent: true,
      clientStreaming: false,
      serverStreaming: false,
    },
    {
      path: "/counter.v1.Counter/Watch",
      service: "counter",
      idempotent: false,
      clientStreaming: false,
      serverStreaming: true,
    },
    {
      path: "/counter.v1.Counter/Hello",
      service: "counter",
      idempotent: false,
      clientStreaming: false,
      serverStreaming: false,
    },
    {
      path: "/counter.v1.Counter/Sum",
      service: "counter",
      idempotent: false,
      clientStreaming: true,
      serverStreaming: false,
    },
  ]);
  const contracts: ServiceContract[] = [
    { service: "counter", contracts: [Counter.typeName], descriptors: descriptorSetOf([Counter]) },
  ];
  const link = {
    watchContracts: (listener: (contracts: readonly ServiceContract[]) => void) => listener(contracts),
  } as Link;
  gateway = await startGateway({ listen: { port: 0 }, policy, link, accessLog: "all", write: (text) => (log += text) });
});

after(async () => {
  await gateway.stop(1_000);
  await server.stop();
});

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

function call(
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(options.body === undefined ? {} : { "content-length": `${Buffer.byteLength(options.body)}` }),
      ...options.headers,
    };
    const sent = httpRequest(
      { host: gateway.host, port: gateway.port, method, path, headers, agent: false },
      (response) => {
        let body = "";
        response.on("data", (chunk) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
        response.on("error", reject);
      },
    );
    sent.on("error", reject);
    sent.end(options.body);
  });
}

const post = (count: string, headers: Record<string, string> = {}) =>
  call("POST", "/v1/counter:count", {
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ count }),
  });

async function metric(name: RegExp): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${gateway.admin?.port}/metrics`)).text();
  return Number(new RegExp(`^${name.source} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}

test("REST becomes a gRPC call and its answer JSON, with the service's headers and the request's id", async () => {
  const answer = await post("41", {
    "x-request-id": "abc-1",
    "x-custom": "kept",
    "x-forwarded-for": "6.6.6.6",
    host: "shop.example",
  });
  assert.equal(answer.status, 200);
  assert.deepEqual(JSON.parse(answer.body), { count: "42" });
  assert.equal(answer.headers["content-type"], "application/json");
  assert.equal(answer.headers["x-answer"], "yes");
  assert.equal(answer.headers["x-request-id"], "abc-1");
  assert.equal(seen["x-request-id"], "abc-1");
  assert.equal(seen["x-custom"], "kept");
  assert.equal(seen["x-forwarded-for"], "127.0.0.1", "a stranger's x-forwarded-for is not believed");
  assert.equal(seen["x-forwarded-host"], "shop.example");
  assert.equal(seen.via, "1.1 weft");
  assert.match(seen.traceparent ?? "", /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test("HttpBody comes through as it is, with an etag that saves the second transfer, and HEAD has no body", async () => {
  const first = await call("GET", "/counter");
  assert.equal(first.body, "Hello, Counter Service!");
  assert.equal(first.headers["content-type"], "text/plain");
  const again = await call("GET", "/counter", { headers: { "if-none-match": String(first.headers.etag) } });
  assert.deepEqual([again.status, again.body], [304, ""]);
  const head = await call("HEAD", "/counter");
  assert.deepEqual([head.status, head.body, head.headers["content-length"]], [200, "", "23"]);
});

test("what is wrong with a REST request is answered by the gateway with status, reason and field", async () => {
  const json = { "content-type": "application/json" };
  const cases: [Answer, number, RegExp][] = [
    [await call("POST", "/v1/counter:count", { headers: json, body: '{"count": "many"}' }), 400, /BAD_JSON.*count/],
    [await call("POST", "/v1/counter:count", { headers: json, body: "{" }), 400, /BAD_JSON/],
    [
      await call("POST", "/v1/counter:count", { headers: { "content-type": "text/plain" }, body: "{}" }),
      415,
      /UNSUPPORTED_MEDIA_TYPE/,
    ],
    [await call("POST", "/v1/counter:count", { headers: json, body: " ".repeat(4_200_000) }), 413, /MESSAGE_TOO_LARGE/],
    [await call("DELETE", "/counter"), 405, /METHOD_NOT_ALLOWED/],
    [await call("GET", "/nowhere"), 404, /NO_ROUTE/],
  ];
  for (const [answer, status, body] of cases) {
    assert.equal(answer.status, status, answer.body);
    assert.match(answer.body, body);
    assert.ok(answer.headers["x-request-id"], `${status} has a request id`);
  }
  assert.equal((await call("DELETE", "/counter")).headers.allow, "GET, HEAD");
});

test("an error of the service becomes a problem document, and its secrets stay inside", async () => {
  const answer = await post("13");
  assert.equal(answer.status, 500);
  assert.equal(JSON.parse(answer.body).code, "internal");
  assert.ok(!answer.body.includes("secret"));
});

test("an explicit route takes a path past the contracts, as it came", async () => {
  const answer = await call("GET", "/legacy");
  assert.equal(answer.status, 404);
  assert.match(answer.body, /"title":"Not Found"/);
  assert.ok(answer.headers["x-request-id"]);
  assert.equal(await metric(/weft_calls_total\{service="legacy",code="404"\}/), 1);
});

test("gRPC, its streams and reflection are served on the same port", async () => {
  await using runtime = createRuntime({ env: {} });
  const client = runtime.connect(Counter, { address: `${gateway.host}:${gateway.port}` });
  assert.equal((await client.count({ count: 1n })).count, 2n);
  assert.equal(seen.via, "2 weft");
  const counts: bigint[] = [];
  for await (const { count } of client.watch({ from: 5n, limit: 3 })) counts.push(count);
  assert.deepEqual(counts, [5n, 6n, 7n]);
  assert.equal((await client.sum([{ count: 1n }, { count: 2n }])).sum, 3n);
  await assert.rejects(client.chat([]).next(), { code: "unimplemented" });
});

test("every request is counted and logged by what its caller saw", async () => {
  const before = {
    ok: await metric(/weft_calls_total\{service="counter",code="200"\}/),
    bad: await metric(/weft_calls_total\{service="counter",code="400"\}/),
    failed: await metric(/weft_calls_total\{service="counter",code="500"\}/),
    errors: await metric(/weft_call_errors_total\{service="counter"\}/),
  };
  await post("1", { "x-request-id": "logged-ok" });
  await post("x", { "x-request-id": "logged-bad" });
  await post("13", { "x-request-id": "logged-failed" });
  assert.equal(await metric(/weft_calls_total\{service="counter",code="200"\}/), before.ok + 1);
  assert.equal(await metric(/weft_calls_total\{service="counter",code="400"\}/), before.bad + 1);
  assert.equal(await metric(/weft_calls_total\{service="counter",code="500"\}/), before.failed + 1);
  assert.equal(await metric(/weft_call_errors_total\{service="counter"\}/), before.errors + 1);
  for (let tries = 0; tries < 100 && !log.includes("logged-failed"); tries++) await sleep(20);
  const line = (id: string) => JSON.parse(log.split("\n").find((text) => text.includes(id)) ?? "{}");
  assert.deepEqual(
    [line("logged-ok").status, line("logged-ok").endpoint, line("logged-ok").attempts],
    [200, "counter-1", 1],
  );
  assert.deepEqual(
    [line("logged-bad").status, line("logged-bad").reason, line("logged-bad").attempts],
    [400, "BAD_JSON", 0],
  );
  assert.equal(line("logged-failed").status, 500);
});

test("stop lets a call in flight end", async () => {
  const own = await startGateway({ listen: { port: 0 }, policy, admin: null, accessLog: "off" });
  await using runtime = createRuntime({ env: {} });
  const inFlight = new Promise<void>((resolve) => (arrived = resolve));
  const answer = runtime.connect(Counter, { address: `${own.host}:${own.port}` }).count({ count: 500n });
  await inFlight;
  const stopped = own.stop(5_000);
  assert.equal((await answer).count, 501n);
  await stopped;
  await assert.rejects(fetch(`http://${own.host}:${own.port}/`));
});
