import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { Endpoint } from "../../core/endpoint.ts";
import type { MutualTls } from "../../core/identity.ts";
import { TestAuthority } from "../../net/identity.case.ts";
import { authorization } from "../../policy/builders.ts";
import { parseDestination } from "./destination.ts";
import { ask, endpointOf, startApp, startTestSidecar } from "./sidecar.case.ts";

async function serve(t: TestContext, onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as { port: number }).port;
}

/** All that comes until the end. */
async function read(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  await new Promise((resolve) => {
    for (const event of ["end", "close", "error"]) socket.once(event, resolve);
  });
  socket.destroy();
  return text;
}

async function sendTo(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end(text);
  return read(socket);
}

/** A database that greets, beside a sidecar, and a client's sidecar with a way to it. */
async function world(t: TestContext, { identities = true, mode = "strict" as "strict" | "permissive" | "off" } = {}) {
  const app = await serve(t, (socket) => {
    socket.write("hello ");
    socket.pipe(socket);
  });
  const authority = new TestAuthority();
  const own = (service: string) => (identities ? { identity: authority.identity(service) } : {});
  const resources = identities
    ? authorization("db")
        .allow({ peers: ["spiffe://shop/orders"] })
        .resources()
    : [];
  const callee = await startTestSidecar(t, "db", app, {
    ...own("db"),
    appProtocol: "tcp",
    resources,
    mutualTls: () => mode,
  });
  const identity = identities ? { identity: "spiffe://shop/db" } : {};
  const endpoint: Endpoint = endpointOf(callee, "db", { protocol: "tcp", ...identity });
  const to = parseDestination("db.weft:5432");
  const beside = async (service: string) => {
    const sidecar = await startTestSidecar(t, service, 1, { ...own(service), endpoints: [endpoint] });
    const { port } = await sidecar.listenOutbound({}, () => to);
    return { sidecar, port };
  };
  return { app, callee, beside };
}

test("bytes go through two sidecars over mutual TLS, also when the server speaks first", async (t) => {
  const { callee, beside } = await world(t);
  const orders = await beside("orders");
  assert.equal(await sendTo(orders.port, "select 1"), "hello select 1");
  const cart = await beside("cart");
  assert.equal(await sendTo(cart.port, "select 1"), "");
  const [refused] = callee.policy.journal?.newest(1, true) ?? [];
  assert.equal(refused.decision.outcome.reason, "FORBIDDEN");
  const [went] = orders.sidecar.policy.journal?.newest(1) ?? [];
  assert.equal(went.request, "TCP db:5432");
  assert.deepEqual(went.decision.carried, { sent: 8, received: 14 });
  // Strict: plain bytes are refused.
  assert.equal(await sendTo(callee.inbound.port, "select 1"), "");
});

test("a CONNECT whose bytes are not HTTP is a session, too", async (t) => {
  const { beside } = await world(t);
  const orders = await beside("orders");
  const socket = connect({ port: orders.sidecar.outbound.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.write("CONNECT db.weft:5432 HTTP/1.1\r\nhost: db.weft:5432\r\n\r\n");
  await once(socket, "data");
  socket.end("*1\r\n$4\r\nPING\r\n");
  assert.equal(await read(socket), "hello *1\r\n$4\r\nPING\r\n");
});

test("without identities, and where plain text is allowed, bytes go as they are", async (t) => {
  const plain = await world(t, { identities: false, mode: "off" });
  assert.equal(await sendTo((await plain.beside("orders")).port, "x"), "hello x");
  assert.equal(await sendTo(plain.callee.inbound.port, "x"), "hello x");
  const { callee, beside } = await world(t, { mode: "permissive" });
  assert.equal(await sendTo((await beside("orders")).port, "x"), "hello x");
  // A plain client that waits for the server: nobody knows who it is, so that its rules refuse it.
  const silent = connect({ port: callee.inbound.port, host: "127.0.0.1" });
  assert.equal(await read(silent), "");
  assert.equal(callee.policy.journal?.newest(1, true)[0].decision.outcome.reason, "FORBIDDEN");
});

test("a sidecar that stops lets sessions end, and cuts them after its time", async (t) => {
  const { callee, beside } = await world(t);
  const orders = await beside("orders");
  const socket = connect({ port: orders.port, host: "127.0.0.1" });
  socket.on("error", () => {});
  await once(socket, "data");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await callee.stop(50);
  await closed;
});

test("datagrams go out to services that take them", async (t) => {
  const echo = createSocket("udp4");
  echo.on("message", (bytes, from) => echo.send(`seen ${bytes}`, from.port, from.address));
  echo.bind(0, "127.0.0.1");
  await once(echo, "listening");
  t.after(() => echo.close());
  const { port } = echo.address();
  const fixed = { version: "", zone: "", weight: 1, health: "healthy", metadata: {} } as const;
  const endpoint: Endpoint = { id: "dns-1", service: "dns", host: "127.0.0.1", port, protocol: "udp", ...fixed };
  const sidecar = await startTestSidecar(t, "orders", 1, { endpoints: [endpoint] });
  const listener = await sidecar.listenOutbound({}, () => parseDestination("dns.weft:53"));
  const client = createSocket("udp4");
  t.after(() => client.close());
  client.send("query", listener.port, "127.0.0.1");
  const [answer] = await once(client, "message");
  assert.equal(String(answer), "seen query");
});

test("a port that somebody has for datagrams is not kept for connections", async (t) => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  const somebody = createSocket("udp4").bind(port, "127.0.0.1");
  await once(somebody, "listening");
  const fixed = { version: "", zone: "", weight: 1, health: "healthy", metadata: {} } as const;
  const endpoint: Endpoint = { id: "dns-1", service: "dns", host: "127.0.0.1", port, protocol: "udp", ...fixed };
  const sidecar = await startTestSidecar(t, "orders", 1, { endpoints: [endpoint] });
  const to = parseDestination("dns.weft:53");
  await assert.rejects(
    sidecar.listenOutbound({ port }, () => to),
    { reason: "PORT_IN_USE" },
  );
  somebody.close();
  await once(somebody, "close");
  assert.equal((await sidecar.listenOutbound({ port }, () => to)).port, port);
});

test("datagrams go to another endpoint where there is no way to the first", async (t) => {
  const echo = createSocket("udp4");
  echo.on("message", (bytes, from) => echo.send(`seen ${bytes}`, from.port, from.address));
  echo.bind(0, "127.0.0.1");
  await once(echo, "listening");
  t.after(() => echo.close());
  const { port } = echo.address();
  const fixed = { service: "dns", port, protocol: "udp", version: "", zone: "", weight: 1, metadata: {} } as const;
  // To where all are no socket may be connected that has not asked to.
  const hosts = { far: "255.255.255.255", near: "127.0.0.1" };
  const endpoints = Object.entries(hosts).map(
    ([id, host]): Endpoint => ({ ...fixed, id, host, health: "healthy" as const }),
  );
  const sidecar = await startTestSidecar(t, "orders", 1, { endpoints });
  const listener = await sidecar.listenOutbound({}, () => parseDestination("dns.weft:53"));
  for (let i = 0; i < 4; i++) {
    const client = createSocket("udp4");
    t.after(() => client.close());
    client.send(`query ${i}`, listener.port, "127.0.0.1");
    const [answer] = await once(client, "message");
    assert.equal(String(answer), `seen query ${i}`);
  }
});

test("a system that is strict as a whole is so between sidecars, not between a sidecar and its application", async (t) => {
  const authority = new TestAuthority();
  const strict = {
    apiVersion: "weftmesh.dev/v1",
    kind: "TrafficPolicy",
    metadata: { name: "strict" },
    spec: { mtls: "strict" },
  } as const;
  const common = { resources: [strict], mutualTls: (): MutualTls => "strict" };
  const web = await startApp(t);
  const db = await serve(t, (socket) => socket.pipe(socket));
  const callee = await startTestSidecar(t, "web", web.port, { ...common, identity: authority.identity("web") });
  const bytes = await startTestSidecar(t, "db", db, {
    ...common,
    identity: authority.identity("db"),
    appProtocol: "tcp",
  });
  const caller = await startTestSidecar(t, "orders", 1, {
    ...common,
    identity: authority.identity("orders"),
    endpoints: [
      endpointOf(callee, "web", { identity: "spiffe://shop/web" }),
      endpointOf(bytes, "db", { protocol: "tcp", identity: "spiffe://shop/db" }),
    ],
  });
  assert.equal((await ask(caller.outbound.port, "http://web.weft/")).status, 200);
  const { port } = await caller.listenOutbound({}, () => parseDestination("db.weft:5432"));
  assert.equal(await sendTo(port, "ping"), "ping");
});
