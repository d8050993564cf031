import assert from "node:assert/strict";
import { request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import type { Socket } from "node:net";
import { test } from "node:test";
import { type Resource, type TrafficPolicy, WEFT_API } from "../../policy/resource/resources.ts";
import { ask, echoWebSockets, endpointOf, startApp, startTestSidecar, webSocketEcho } from "./sidecar.case.ts";

test("a call passes both sidecars, by a proxy's target and by its host", async (t) => {
  const app = await startApp(t, (incoming, response) => response.end(`${incoming.method} ${incoming.url}`));
  const orders = await startTestSidecar(t, "orders", app.port);
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")] });
  const { port } = web.outbound;
  const absolute = await ask(port, "http://orders.weft/v1/orders?page=2", { headers: { host: "orders.weft" } });
  assert.deepEqual([absolute.status, absolute.body], [200, "GET /v1/orders?page=2"]);
  for (const host of ["orders", "orders.weft", "orders.weft:8080", "ORDERS.weft."]) {
    const { status, body } = await ask(port, "/x", { method: "POST", headers: { host }, body: "abc" });
    assert.deepEqual([status, body], [200, "POST /x"], host);
  }
  assert.equal(app.requests.length, 5);
  assert.match(absolute.headers["x-request-id"] as string, /^[0-9a-f]{16}$/);
  const { headers } = app.requests[0];
  assert.equal(headers.host, "orders.weft");
  assert.match(headers["x-request-id"] as string, /^[0-9a-f]{16}$/);
  assert.match(headers.traceparent as string, /^00-/);
});

test("calls for the application are its load", async (t) => {
  const app = await startApp(t, (incoming, response) => response.writeHead(incoming.url === "/bad" ? 500 : 200).end());
  const orders = await startTestSidecar(t, "orders", app.port, { instance: "orders-7" });
  for (const path of ["/", "/", "/bad"]) await ask(orders.inbound.port, path);
  const { id, calls, errors, inFlight, latency } = orders.load();
  assert.deepEqual([id, calls, errors, inFlight], ["orders-7", 3n, 1n, 0]);
  assert.equal(
    latency.counts.reduce((sum, count) => sum + count, 0n),
    3n,
  );
});

test("a version is a name", async (t) => {
  const [one, two] = [await startApp(t, (_q, r) => r.end("1")), await startApp(t, (_q, r) => r.end("2"))];
  const [v1, v2] = [await startTestSidecar(t, "orders", one.port), await startTestSidecar(t, "orders", two.port)];
  const endpoints = [endpointOf(v1, "orders", { version: "v1" }), endpointOf(v2, "orders", { version: "v2" })];
  const web = await startTestSidecar(t, "web", 1, { endpoints });
  for (let i = 0; i < 4; i++) {
    assert.equal((await ask(web.outbound.port, "/", { headers: { host: "v2.orders.weft" } })).body, "2");
    assert.equal((await ask(web.outbound.port, "/", { headers: { host: "v1.orders.weft" } })).body, "1");
  }
});

test("what hops say to each other is not taken from who has not proved who it is", async (t) => {
  const app = await startApp(t);
  const orders = await startTestSidecar(t, "orders", app.port);
  const forged = {
    "x-weft-peer": "spiffe://shop/admin",
    "x-weft-attempt": "3",
    "x-weft-priority": "10",
    x_weft_peer: "spiffe://shop/admin",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-client-cert": "URI=spiffe://shop/admin",
    "x-forwarded-proto": "https",
    "x-real-ip": "10.0.0.1",
    forwarded: "for=10.0.0.1",
    "x-mine": "stays",
  };
  assert.equal((await ask(orders.inbound.port, "/", { headers: forged })).status, 200);
  const { headers } = app.requests[0];
  for (const name of Object.keys(forged).slice(0, -1))
    assert.equal(headers[name], name === "x-forwarded-for" ? "127.0.0.1" : undefined, name);
  assert.equal(headers["x-mine"], "stays");
});

test("a failing application is tried as often as policy says, by the caller's sidecar alone", async (t) => {
  const app = await startApp(t, (_request, response) => response.writeHead(503).end());
  const resources = [RETRIES];
  const orders = await startTestSidecar(t, "orders", app.port, { resources });
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")], resources });
  assert.equal((await ask(web.outbound.port, "/", { headers: { host: "orders" } })).status, 503);
  assert.equal(app.requests.length, 4);
});

test("an application that is lost between the head and the body of a short answer is tried again elsewhere", async (t) => {
  let lost = 0;
  const app = await startApp(t, (_request, response) => {
    if (lost > 0) return void response.end("whole");
    lost++;
    response.writeHead(200, { "content-length": "5" }).flushHeaders();
    setTimeout(() => response.destroy(), 20);
  });
  const orders = await startTestSidecar(t, "orders", app.port);
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")] });
  assert.equal((await ask(web.outbound.port, "/", { headers: { host: "orders" } })).body, "whole");
  lost = 0;
  const broken = await ask(orders.inbound.port, "/");
  assert.deepEqual([broken.status, JSON.parse(broken.body).reason], [502, "UPSTREAM_LOST"]);
});

test("a caller's own attempts are not multiplied", async (t) => {
  const app = await startApp(t, (_request, response) => response.writeHead(503).end());
  const resources = [RETRIES];
  const orders = await startTestSidecar(t, "orders", app.port, { resources });
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")], resources });
  await ask(web.outbound.port, "/", { headers: { host: "orders", "x-weft-attempt": "2" } });
  assert.equal(app.requests.length, 1);
});

test("an application that went and came back is called again at once", async (t) => {
  const app = await startApp(t);
  const orders = await startTestSidecar(t, "orders", app.port);
  app.server.closeAllConnections();
  await new Promise((resolve) => app.server.close(resolve));
  for (let i = 0; i < 5; i++) {
    const { status, body } = await ask(orders.inbound.port, "/");
    assert.deepEqual([status, (JSON.parse(body) as { reason: string }).reason], [503, "UPSTREAM_CONNECT"]);
  }
  await new Promise<void>((resolve) => app.server.listen(app.port, "127.0.0.1", resolve));
  assert.equal((await ask(orders.inbound.port, "/")).status, 200);
});

test("a deadline ends a call at the sidecar of an application that takes too long", async (t) => {
  const app = await startApp(t, () => {});
  const orders = await startTestSidecar(t, "orders", app.port);
  const { status } = await ask(orders.inbound.port, "/", { headers: { "grpc-timeout": "50m" } });
  assert.equal(status, 504);
});

test("the gates of a server hold before the application", async (t) => {
  const app = await startApp(t);
  const orders = await startTestSidecar(t, "orders", app.port, {
    resources: [ONLY_WEB],
  });
  assert.equal((await ask(orders.inbound.port, "/")).status, 403);
  assert.equal(app.requests.length, 0);
});

test("hosts outside of the mesh are passed through, or refused with the reason", async (t) => {
  const outside = await startApp(t, (_request, response) => response.end("outside"));
  const target = `http://127.0.0.1:${outside.port}/`;
  const open = await startTestSidecar(t, "web", 1);
  assert.equal((await ask(open.outbound.port, target)).body, "outside");
  const closed = await startTestSidecar(t, "web", 1, { egress: "mesh" });
  const refused = await ask(closed.outbound.port, target);
  assert.deepEqual([refused.status, JSON.parse(refused.body).reason], [403, "EGRESS_DENIED"]);
  const unknown = await ask(closed.outbound.port, "/", { headers: { host: "nobody" } });
  assert.equal(JSON.parse(unknown.body).reason, "EGRESS_DENIED");
  const itself = await ask(open.outbound.port, "/", { headers: { host: `127.0.0.1:${open.outbound.port}` } });
  assert.equal(JSON.parse(itself.body).reason, "NO_SERVICE_NAMED");
  assert.equal(outside.requests.length, 1);
});

test("what is tunnelled by CONNECT is a call again: HTTP/1.1 and HTTP/2", async (t) => {
  const app = await startApp(t, (incoming, response) => response.end(`${incoming.method} ${incoming.url}`));
  const orders = await startTestSidecar(t, "orders", app.port);
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")] });
  const { status, socket } = await tunnel(web.outbound.port, "orders.weft:80");
  assert.equal(status, 200);
  const answer = await new Promise<string>((resolve) => {
    socket.once("data", (bytes) => resolve(bytes.toString()));
    socket.write("GET /one HTTP/1.1\r\nhost: whatever\r\n\r\n");
  });
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*GET \/one/s);
  socket.destroy();

  const second = await tunnel(web.outbound.port, "orders.weft:443");
  const session = connectHttp2("http://orders.weft", { createConnection: () => second.socket });
  t.after(() => session.destroy());
  for (const path of ["/two", "/three"]) {
    const stream = session.request({ ":path": path });
    let body = "";
    for await (const chunk of stream) body += String(chunk);
    assert.equal(body, `GET ${path}`);
  }
  assert.equal(app.requests.length, 3);
});

test("a tunnel to a host outside passes bytes through", async (t) => {
  const outside = await startApp(t, (_request, response) => response.end("outside"));
  const web = await startTestSidecar(t, "web", 1);
  const { status, socket } = await tunnel(web.outbound.port, `127.0.0.1:${outside.port}`);
  assert.equal(status, 200);
  const answer = await new Promise<string>((resolve) => {
    socket.once("data", (bytes) => resolve(bytes.toString()));
    socket.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  });
  assert.match(answer, /outside/);
  socket.destroy();
  const closed = await startTestSidecar(t, "web", 1, { egress: "mesh" });
  assert.equal((await tunnel(closed.outbound.port, `127.0.0.1:${outside.port}`)).status, 403);
});

test("a WebSocket reaches an HTTP/1.1 application through both", async (t) => {
  const app = await startApp(t);
  echoWebSockets(app.server);
  const orders = await startTestSidecar(t, "orders", app.port);
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")] });
  assert.equal(await webSocketEcho(web.outbound.port, "orders.weft"), "hello");
});

test("what an application reports of its load reaches the sidecar of its caller, and no further", async (t) => {
  const report = { "endpoint-load-metrics": "TEXT rps_fractional=1,cpu_utilization=0.5" };
  const app = await startApp(t, (_request, response) => response.writeHead(200, report).end());
  const orders = await startTestSidecar(t, "orders", app.port);
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")] });
  const direct = await ask(orders.inbound.port, "/");
  assert.equal(direct.headers["endpoint-load-metrics"], report["endpoint-load-metrics"]);
  const through = await ask(web.outbound.port, "/", { headers: { host: "orders" } });
  assert.equal(through.headers["endpoint-load-metrics"], undefined);
});

test("bodies larger than any window arrive whole, both ways", async (t) => {
  const app = await startApp(t, (incoming, response) => incoming.pipe(response));
  const orders = await startTestSidecar(t, "orders", app.port);
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")] });
  const body = "0123456789".repeat(200_000);
  const answer = await ask(web.outbound.port, "/", { method: "POST", headers: { host: "orders" }, body });
  assert.equal(answer.body, body);
});

test("a sidecar that drains lets calls end, and its application's calls go out meanwhile", async (t) => {
  const other = await startApp(t, (_request, response) => response.end("other"));
  let finish = (): void => {};
  const app = await startApp(t, (_request, response) => {
    finish = () => response.end("done");
  });
  const beside = await startTestSidecar(t, "other", other.port);
  const orders = await startTestSidecar(t, "orders", app.port, { endpoints: [endpointOf(beside, "other")] });
  const slow = ask(orders.inbound.port, "/slow");
  while (app.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const stopped = orders.stop(2_000);
  assert.equal((await ask(orders.outbound.port, "/", { headers: { host: "other" } })).body, "other");
  finish();
  assert.equal((await slow).body, "done");
  await stopped;
  await assert.rejects(ask(orders.inbound.port, "/"), /ECONNREFUSED/);
});

const metadata = { name: "orders" };
const targetRefs = [{ kind: "Service", name: "orders" }] as const;
const RETRIES: TrafficPolicy = {
  apiVersion: WEFT_API,
  kind: "TrafficPolicy",
  metadata,
  spec: { targetRefs, retry: { attempts: 3, on: ["503"], backoff: { base: "1ms" } } },
};
const ONLY_WEB: Resource = {
  apiVersion: WEFT_API,
  kind: "Authorization",
  metadata,
  spec: { targetRefs, default: "deny", rules: [{ action: "allow", peers: ["spiffe://shop/web"] }] },
};

function tunnel(port: number, to: string): Promise<{ status: number; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const call = request({ port, method: "CONNECT", path: to, agent: false });
    call.on("connect", ({ statusCode = 0 }, socket) => resolve({ status: statusCode, socket: socket as Socket }));
    call.on("error", reject);
    call.end();
  });
}
