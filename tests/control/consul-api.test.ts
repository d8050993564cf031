import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ConsulApi, startConsulApi } from "../../src/control/consul-api/consul-api.ts";
import { systemClock, VirtualClock } from "../../src/core/clock.ts";
import { WeftError } from "../../src/core/errors.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { openSqliteRegistry } from "../../src/drivers/sqlite/sqlite-registry.ts";
import type { Registry } from "../../src/registry/registry.ts";

let registry: Registry;
let api: ConsulApi;
let clock: VirtualClock;
const told: string[] = [];
before(async () => {
  clock = new VirtualClock();
  registry = createMemoryRegistry({ clock });
  api = await startConsulApi({
    registry,
    clock,
    port: 0,
    system: "shop",
    version: "1.2.3",
    maxWaiting: 3,
    describe: () => ({ check: "tcp", message: "" }),
    async assertMayWrite(token) {
      if (token === "wrong") throw new WeftError("unauthenticated", "the operator's token is needed");
    },
    assertMayRegister(endpoint, token) {
      if (endpoint.service === "strict" && token !== "operator")
        throw new WeftError("permission_denied", "strict takes mutual TLS alone");
    },
    assertPlain() {},
    onError: (message) => told.push(message),
  });
});
after(async () => {
  await api.close();
  await registry.close();
});

interface Answer {
  readonly status: number;
  readonly index: string;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever Consul's forms hold
  readonly json: any;
}

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port: api.port, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part) => (text += part));
      response.on("end", () => {
        const index = String(response.headers["x-consul-index"] ?? "");
        const isJson = response.headers["content-type"] === "application/json" && text !== "";
        resolve({ status: response.statusCode ?? 0, index, text, json: isJson ? JSON.parse(text) : undefined });
      });
    });
    call.on("error", reject);
    call.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
  });
}
const put = (path: string, body?: unknown, headers?: Record<string, string>) => call("PUT", path, body, headers);
const get = (path: string) => call("GET", path);
const register = async (body: unknown) => {
  const { status, text } = await put("/v1/agent/service/register", body);
  assert.equal(status, 200, text);
};
const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** In steps that timers have time to act in. */
const pass = async (ms: number) => {
  clock.advance(ms);
  await turns();
};

test("what is registered is an endpoint, and is found by agent, catalog and health", async () => {
  await register({
    ID: "web-1",
    Name: "web",
    Address: "10.0.0.7",
    Port: 8080,
    Tags: ["primary", "a,b\\c"],
    Meta: { version: "v2", zone: "eu-1", team: "shop" },
    Weights: { Passing: 5, Warning: 1 },
  });
  const [endpoint] = (await registry.query(["web"])).endpoints;
  const { id, host, port, version, zone, weight, protocol, health } = endpoint;
  assert.deepEqual(
    { id, host, port, version, zone, weight, protocol, health },
    {
      id: "web-1",
      host: "10.0.0.7",
      port: 8080,
      version: "v2",
      zone: "eu-1",
      weight: 5,
      protocol: "http1",
      health: "healthy",
    },
  );
  const agent = (await get("/v1/agent/services")).json["web-1"];
  assert.deepEqual(agent.Tags, ["primary", "a,b\\c"]);
  assert.deepEqual(agent.Meta, { version: "v2", zone: "eu-1", team: "shop" });
  assert.deepEqual(agent.Weights, { Passing: 5, Warning: 1 });
  assert.deepEqual((await get("/v1/agent/service/web-1")).json, agent);
  assert.deepEqual((await get("/v1/catalog/services")).json, { web: ["a,b\\c", "primary"] });
  const [entry] = (await get("/v1/catalog/service/web")).json;
  assert.deepEqual(
    [entry.Node, entry.ServiceID, entry.ServiceAddress, entry.ServicePort],
    ["weft-shop", "web-1", "10.0.0.7", 8080],
  );
  const [{ Service, Checks }] = (await get("/v1/health/service/web?passing&tag=primary")).json;
  assert.equal(Service.Port, 8080);
  assert.deepEqual(
    Checks.map((check: { CheckID: string; Status: string }) => [check.CheckID, check.Status]),
    [["service:web-1", "passing"]],
  );
  assert.deepEqual((await get("/v1/health/service/web?tag=other")).json, []);
  assert.equal((await put("/v1/agent/service/deregister/web-1")).status, 200);
  assert.deepEqual((await registry.query(["*"])).endpoints, []);
  assert.equal((await put("/v1/agent/service/deregister/web-1")).status, 404);
});

test("a blocking query is answered by the first change of its service, by its time, and never by another's change", async () => {
  await register({ Name: "web", Port: 80 });
  const { index } = await get("/v1/health/service/web");
  let answered = "";
  const waiting = get(`/v1/health/service/web?index=${index}&wait=30s`).then((answer) => {
    answered = answer.index;
    return answer;
  });
  await turns();
  await register({ Name: "other", Port: 81 });
  await turns();
  assert.equal(answered, "");
  assert.equal((await get("/v1/health/service/web")).index, index, "another service's change moved the index");
  await registry.setHealth("web", "unhealthy", "refused", "check");
  const woken = await waiting;
  assert.ok(Number(woken.index) > Number(index));
  assert.equal(woken.json[0].Checks[0].Status, "critical");
  assert.deepEqual((await get("/v1/health/service/web?passing")).json, []);

  let over = false;
  const timed = get(`/v1/health/service/web?index=${woken.index}&wait=30s`).finally(() => (over = true));
  // Time goes on again for a question that was not there yet.
  while (!over) {
    for (let i = 0; i < 50; i++) await turns();
    clock.advance(30_000);
  }
  assert.equal((await timed).index, woken.index);
  assert.equal(
    (await get("/v1/health/service/web?index=999999")).index,
    woken.index,
    "an index of another time is answered at once",
  );
  await put("/v1/agent/service/deregister/web");
  await put("/v1/agent/service/deregister/other");
  assert.ok(Number((await get("/v1/health/service/web")).index) > Number(woken.index), "the index of what is gone");
});

test("queries that wait are bounded, and who leaves waits no more", async () => {
  const { index } = await get("/v1/catalog/services");
  const path = `/v1/catalog/services?index=${index}&wait=60s`;
  const gone = Array.from({ length: 3 }, () => {
    const waiting = request({ host: "127.0.0.1", port: api.port, path, agent: false });
    waiting.on("error", () => {});
    waiting.end();
    return waiting;
  });
  for (let i = 0; i < 50; i++) await turns();
  const refused = await get(path);
  assert.deepEqual([refused.status, /waiting already/.test(refused.text)], [429, true]);
  for (const one of gone) one.socket?.resetAndDestroy();
  let last = "";
  for (const end = performance.now() + 5_000; last !== "200" && performance.now() < end; ) {
    const asked = get(path).then(({ status }) => (last = `${status}`));
    for (let i = 0; i < 50; i++) await turns();
    if (last === "") clock.advance(60_000);
    await asked;
  }
  assert.equal(last, "200");
});

test("a TTL check is critical until it passes, and again when nobody says so for its period (G1, G2)", async () => {
  await register({ Name: "web", Port: 80, Check: { TTL: "10s", Notes: "beats" } });
  const state = async () => {
    const [{ Checks }] = (await get("/v1/health/service/web")).json;
    const [endpoint] = (await registry.query(["web"])).endpoints;
    return [Checks.length, Checks[0].Status, endpoint.health];
  };
  assert.deepEqual(await state(), [1, "critical", "unhealthy"]);
  assert.equal((await put("/v1/agent/check/pass/service:web?note=well")).status, 200);
  assert.deepEqual(await state(), [1, "passing", "healthy"]);
  assert.equal((await get("/v1/agent/checks")).json["service:web"].Output, "well");
  for (let i = 0; i < 5; i++) {
    clock.advance(9_000);
    await put("/v1/agent/check/update/service:web", { Status: "warning", Output: "slow" });
  }
  assert.deepEqual(await state(), [1, "warning", "healthy"]);
  assert.deepEqual((await get("/v1/health/service/web?passing")).json, []);
  clock.advance(10_000);
  await turns();
  assert.deepEqual(await state(), [1, "critical", "unhealthy"]);
  assert.match(
    (await get("/v1/agent/checks")).json["service:web"].Output,
    /^TTL expired \(last output before it: slow\)/,
  );
  for (let i = 0; i < 60; i++) await pass(10_000);
  assert.deepEqual(await state(), [1, "critical", "unhealthy"], "it is kept, as an agent of Consul keeps it");
  await put("/v1/agent/check/pass/service:web");
  assert.deepEqual(await state(), [1, "passing", "healthy"]);
  await register({ Name: "web", Port: 81, Check: { TTL: "10s" } });
  assert.deepEqual(await state(), [1, "passing", "healthy"], "the same check keeps what it said");
  assert.equal((await put("/v1/agent/check/pass/nobody")).status, 404);
  await put("/v1/agent/service/deregister/web");
});

test("a service that is critical for too long is deregistered (G3)", async () => {
  await register({ Name: "web", Port: 80, Check: { TTL: "10s", DeregisterCriticalServiceAfter: "1m30s" } });
  await put("/v1/agent/check/pass/service:web");
  for (let i = 0; i < 9; i++) await pass(10_000);
  assert.equal((await registry.query(["web"])).endpoints.length, 1);
  await pass(12_000);
  assert.equal((await registry.query(["web"])).endpoints.length, 0);
  assert.match(told.at(-1) ?? "", /^web is deregistered: its check service:web was critical for 9\d s/);
});

test("checks come and go after the registration", async () => {
  await register({ Name: "web", Address: "10.0.0.7", Port: 80 });
  const added = { ID: "beat", Name: "beat", ServiceID: "web", TTL: "30s", Status: "passing" };
  assert.equal((await put("/v1/agent/check/register", added)).status, 200);
  const http = {
    Name: "page",
    ServiceID: "web",
    HTTP: "http://localhost:80/healthz?full=1",
    Interval: "5s",
    Timeout: "2s",
  };
  assert.equal((await put("/v1/agent/check/register", http)).status, 200);
  const [endpoint] = (await registry.query(["web"])).endpoints;
  assert.deepEqual(
    ["weft.health-check", "weft.health-check-interval-ms", "weft.health-check-timeout-ms"].map(
      (name) => endpoint.metadata[name],
    ),
    ["http:/healthz?full=1", "5000", "2000"],
  );
  const second = await put("/v1/agent/check/register", { ...http, Name: "other" });
  assert.deepEqual([second.status, /at most one check that is run here/.test(second.text)], [501, true]);
  assert.deepEqual(Object.keys((await get("/v1/agent/checks")).json), ["beat", "page"]);
  await put("/v1/agent/check/fail/beat");
  assert.equal((await registry.query(["web"])).endpoints[0].health, "unhealthy");
  const byCheck = (await get("/v1/agent/checks")).json;
  assert.deepEqual([byCheck.beat.Status, byCheck.page.Status], ["critical", "passing"]);
  assert.equal((await put("/v1/agent/check/deregister/beat")).status, 200);
  assert.equal((await put("/v1/agent/check/deregister/page")).status, 200);
  const left = (await registry.query(["web"])).endpoints[0];
  assert.deepEqual([left.health, left.metadata["weft.health-check"]], ["healthy", undefined]);
  await put("/v1/agent/service/deregister/web");
});

test("maintenance takes a service out and brings it back", async () => {
  await register({ Name: "web", Port: 80 });
  assert.equal((await put("/v1/agent/service/maintenance/web?enable=true&reason=disk")).status, 200);
  assert.equal((await registry.query(["web"])).endpoints[0].health, "draining");
  assert.deepEqual((await get("/v1/health/service/web?passing")).json, []);
  assert.equal((await get("/v1/health/state/critical")).json[0].CheckID, "_service_maintenance:web");
  assert.equal((await put("/v1/agent/service/maintenance/web?enable=false")).status, 200);
  assert.equal((await get("/v1/health/service/web?passing")).json.length, 1);
  assert.equal((await put("/v1/agent/service/maintenance/web")).status, 400);
  await put("/v1/agent/service/deregister/web");
});

test("the catalog takes services of other nodes, with what others found of them", async () => {
  const entry = (status: string) => ({
    Node: "db-1",
    Address: "10.0.0.9",
    Service: { Service: "db", Port: 5432, Tags: ["primary"], Meta: { protocol: "tcp" } },
    Check: { Name: "ping", Status: status },
  });
  assert.deepEqual((await put("/v1/catalog/register", entry("passing"))).json, true);
  await put("/v1/catalog/register", {
    ...entry("passing"),
    Node: "db-2",
    Address: "10.0.0.10",
    Check: { CheckID: "other", Status: "passing" },
  });
  const [one, two] = (await get("/v1/catalog/service/db")).json;
  assert.deepEqual([one.Node, one.Address, one.ServiceID, one.ServiceAddress], ["db-1", "10.0.0.9", "db", "10.0.0.9"]);
  assert.equal(two.Node, "db-2");
  assert.deepEqual(
    (await get("/v1/catalog/nodes")).json.map((node: { Node: string }) => node.Node),
    ["db-1", "db-2", "weft-shop"],
  );
  await put("/v1/catalog/register", entry("critical"));
  assert.equal((await get("/v1/health/service/db?passing")).json.length, 1);
  assert.equal((await get("/v1/health/node/db-1")).json[0].Status, "critical");
  assert.deepEqual((await get("/v1/agent/services")).json, {}, "another node's service is no service of the agent");
  await put("/v1/catalog/deregister", { Node: "db-1", ServiceID: "db" });
  await put("/v1/catalog/deregister", { Node: "db-2" });
  assert.deepEqual((await get("/v1/catalog/services")).json, {});
});

test("what was registered in another way is there, too", async () => {
  const lease = await registry.register(
    {
      id: "orders-1",
      service: "orders",
      host: "10.0.0.3",
      port: 9000,
      version: "v1",
      zone: "",
      weight: 1,
      protocol: "h2c",
      health: "healthy",
      metadata: {},
    },
    30_000,
  );
  const [{ Node, Service, Checks }] = (await get("/v1/health/service/orders?passing")).json;
  assert.deepEqual(
    [Node.Node, Service.ID, Service.Meta, Checks.length],
    ["10.0.0.3", "orders-1", { version: "v1", protocol: "h2c" }, 1],
  );
  await lease.release();
});

test("what is not there, or would not act, is refused and changes nothing (G4)", async () => {
  const service = (more: Record<string, unknown>) => ({ Name: "web", Address: "10.0.0.7", Port: 80, ...more });
  const check = (more: Record<string, unknown>) => service({ Check: { Interval: "5s", ...more } });
  const cases: [method: string, path: string, body: unknown, status: number, text: RegExp][] = [
    ["PUT", "/v1/agent/service/register", service({ Name: "Web_1" }), 400, /^Name: must be a DNS label/],
    ["PUT", "/v1/agent/service/register", service({ Port: 0 }), 400, /^Port: is missing/],
    ["PUT", "/v1/agent/service/register", service({ Port: 70_000 }), 400, /port must be an integer/],
    ["PUT", "/v1/agent/service/register", service({ Address: "300.1.1.1" }), 400, /host must be/],
    ["PUT", "/v1/agent/service/register", service({ ID: "a b" }), 400, /id must be/],
    ["PUT", "/v1/agent/service/register", service({ Meta: { protocol: "ftp" } }), 400, /protocol must be/],
    [
      "PUT",
      "/v1/agent/service/register",
      service({ Meta: { big: "x".repeat(2_000) } }),
      400,
      /metadata.big has 2000 bytes/,
    ],
    ["PUT", "/v1/agent/service/register", service({ Meta: { "weft.consul": "x" } }), 400, /reserved/],
    ["PUT", "/v1/agent/service/register", service({ Kind: "connect-proxy" }), 501, /^Kind is not supported here/],
    ["PUT", "/v1/agent/service/register", service({ EnableTagOverride: true }), 501, /EnableTagOverride/],
    ["PUT", "/v1/agent/service/register", service({ Namespace: "team-a" }), 501, /one namespace/],
    ["PUT", "/v1/agent/service/register", service({ Colour: "red" }), 400, /^Colour: is not known/],
    ["PUT", "/v1/agent/service/register", service({ Weights: { Passing: 0 } }), 400, /weight must be/],
    ["PUT", "/v1/agent/service/register", check({ HTTP: "http://10.0.0.7:81/" }), 501, /checked where it is called/],
    ["PUT", "/v1/agent/service/register", check({ HTTP: "https://10.0.0.7:80/" }), 501, /https/],
    ["PUT", "/v1/agent/service/register", check({ HTTP: "http://10.0.0.7:80/", Method: "POST" }), 501, /GET/],
    ["PUT", "/v1/agent/service/register", check({ Args: ["/bin/true"] }), 501, /runs no programs/],
    ["PUT", "/v1/agent/service/register", check({ TTL: "10s" }), 400, /no Interval/],
    ["PUT", "/v1/agent/service/register", check({}), 400, /one of TTL, HTTP, TCP and GRPC/],
    [
      "PUT",
      "/v1/agent/service/register",
      check({ TCP: "10.0.0.7:80", Interval: "soon" }),
      400,
      /Interval: must be a duration/,
    ],
    ["PUT", "/v1/agent/service/register", "{", 400, /is no JSON/],
    ["PUT", "/v1/agent/service/register", "", 400, /is empty/],
    ["PUT", "/v1/agent/service/register", `"${"x".repeat(300_000)}"`, 429, /more than 262144 bytes/],
    ["PUT", "/v1/agent/service/register", service({ Name: "strict" }), 403, /mutual TLS alone/],
    ["PUT", "/v1/agent/check/register", { Name: "host", TTL: "10s" }, 501, /checks belong to services/],
    ["PUT", "/v1/agent/check/register", { Name: "c", ServiceID: "nobody", TTL: "10s" }, 400, /not registered/],
    ["PUT", "/v1/catalog/register", { Node: "n 1", Service: { Service: "web", Port: 1 } }, 400, /^Node: must be/],
    ["PUT", "/v1/catalog/register", { Node: "n1", Address: "10.0.0.1" }, 501, /without Service/],
    ["GET", "/v1/health/service/Web_1", undefined, 400, /DNS label/],
    ["GET", "/v1/health/service/web?filter=Service.Port==80", undefined, 501, /^filter is not supported/],
    ["GET", "/v1/health/service/web?near=_agent", undefined, 501, /^near is not supported/],
    ["GET", "/v1/health/service/web?dc=dc9", undefined, 400, /no path to datacenter/],
    ["GET", "/v1/health/service/web?index=x", undefined, 400, /whole number/],
    ["GET", "/v1/health/service/web?index=1&wait=soon", undefined, 400, /duration/],
    ["GET", "/v1/health/state/odd", undefined, 400, /must be any/],
    ["GET", "/v1/kv/a", undefined, 501, /weft settings/],
    ["GET", "/v1/nothing", undefined, 404, /there are \/v1\/agent/],
    ["DELETE", "/v1/agent/services", undefined, 501, /takes GET/],
  ];
  for (const [method, path, body, status, text] of cases) {
    const answer = await call(method, path, body);
    const what = `${method} ${path} ${JSON.stringify(body)?.slice(0, 100)}`;
    assert.equal(answer.status, status, `${what}: ${answer.text}`);
    assert.match(answer.text, text, what);
  }
  assert.equal((await put("/v1/agent/service/register", service({}), { "x-consul-token": "wrong" })).status, 403);
  assert.deepEqual((await registry.query(["*"])).endpoints, []);
  assert.equal(
    (await put("/v1/agent/service/register", service({ Name: "strict" }), { "x-consul-token": "operator" })).status,
    200,
  );
  assert.equal((await put("/v1/agent/service/deregister/strict")).status, 403);
  assert.equal((await put("/v1/agent/service/deregister/strict?token=operator")).status, 200);
});

test("two services never share a check", async () => {
  await register({ Name: "web", Port: 80, Check: { CheckID: "beat", TTL: "10s" } });
  const second = await put("/v1/agent/service/register", {
    Name: "api",
    Port: 81,
    Check: { CheckID: "beat", TTL: "10s" },
  });
  assert.deepEqual([second.status, /a check of "web" already/.test(second.text)], [400, true]);
  await put("/v1/agent/service/deregister/web");
});

test("another agent over the same registry takes over what it hears of", async () => {
  const other = await startConsulApi({
    registry,
    clock,
    port: 0,
    system: "shop",
    version: "",
    describe: () => ({ check: "", message: "" }),
    async assertMayWrite() {},
    assertMayRegister() {},
    assertPlain() {},
    onError: (message) => told.push(message),
  });
  await register({ Name: "web", Port: 80, Check: { TTL: "10s", Status: "passing" } });
  const at = (port: number, path: string) => fetch(`http://127.0.0.1:${port}${path}`, { method: "PUT" });
  assert.equal((await at(other.port, "/v1/agent/check/pass/service:web")).status, 200);
  clock.advance(21_000); // the first one's lease is lost when it is renewed
  await turns();
  assert.equal((await at(other.port, "/v1/agent/check/pass/service:web")).status, 200);
  clock.advance(9_000);
  await turns();
  assert.equal((await registry.query(["web"])).endpoints[0].health, "healthy");
  assert.equal((await at(api.port, "/v1/agent/service/deregister/web")).status, 200);
  assert.deepEqual((await registry.query(["*"])).endpoints, []);
  await other.close();
});

test("what was registered outlasts a restart, and its checks go on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-consul-api-"));
  const open = async () => {
    const kept = await openSqliteRegistry({ file: join(folder, "registry.db") });
    const served = await startConsulApi({
      registry: kept,
      clock: systemClock,
      port: 0,
      system: "shop",
      version: "",
      describe: () => ({ check: "", message: "" }),
      async assertMayWrite() {},
      assertMayRegister() {},
      assertPlain() {},
      onError: (message) => told.push(message),
    });
    const ask = async (method: string, path: string, body?: unknown) => {
      const options = { method, ...(body !== undefined && { body: JSON.stringify(body) }) };
      const answer = await fetch(`http://127.0.0.1:${served.port}${path}`, options);
      return { status: answer.status, text: await answer.text() };
    };
    const close = async () => {
      await served.close();
      await kept.close();
    };
    return { kept, ask, close };
  };
  const first = await open();
  await first.ask("PUT", "/v1/agent/service/register", { Name: "plain", Port: 80, Tags: ["a"] });
  await first.ask("PUT", "/v1/agent/service/register", {
    Name: "beats",
    Port: 81,
    Check: { TTL: "20s", Status: "passing" },
  });
  await first.close();
  const second = await open();
  assert.deepEqual(JSON.parse((await second.ask("GET", "/v1/catalog/services")).text), { beats: [], plain: ["a"] });
  assert.equal((await second.ask("PUT", "/v1/agent/check/fail/service:beats?note=disk")).status, 200);
  assert.equal((await second.kept.query(["beats"])).endpoints[0].health, "unhealthy");
  assert.match((await second.ask("GET", "/v1/agent/checks")).text, /"Output":"disk"/);
  for (const id of ["plain", "beats"])
    assert.equal((await second.ask("PUT", `/v1/agent/service/deregister/${id}`)).status, 200);
  assert.deepEqual((await second.kept.query(["*"])).endpoints, []);
  await second.close();
  rmSync(folder, { recursive: true });
});
