import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { Endpoint, Protocol } from "../core/endpoint.ts";
import type { IdentityMaterial, MutualTls } from "../core/identity.ts";
import type { PeerInfo, StreamFailure } from "../wire/stream.ts";
import { call, echoHandler, endpointAt, exchangeRaw, until } from "./harness.case.ts";
import { TestAuthority, TestIdentity } from "./identity.case.ts";
import { listen } from "./listener.ts";
import { createUpstreamPool } from "./pool.ts";

const shop = new TestAuthority("shop");
const bank = new TestAuthority("bank");

async function meshListener(mode: MutualTls, sharedRead = true, identity = shop.identity("orders")) {
  const peers: PeerInfo[] = [];
  const errors: string[] = [];
  const state = { mode };
  const listener = await listen({
    handler: echoHandler,
    mesh: { identity, mode: () => state.mode },
    sharedRead,
    onConnection: (peer) => peers.push(peer),
    onConnectionError: (_peer, message) => errors.push(message),
  });
  return { listener, peers, errors, state, identity };
}

function orders(port: number, protocol: Protocol = "h2c", identity = "spiffe://shop/orders"): Endpoint {
  return { ...endpointAt(port, protocol), identity };
}

for (const sharedRead of [true, false]) {
  test(`both protocols are called over mutual TLS and the peer is known by its SPIFFE id (shared read ${sharedRead})`, async () => {
    const { listener, peers } = await meshListener("strict", sharedRead);
    const pool = createUpstreamPool({ identity: shop.identity("web") });
    const body = "x".repeat(300_000);
    for (const protocol of ["h2c", "h2", "http1"] as const) {
      const answer = await call(pool, orders(listener.port, protocol), "/", body);
      assert.equal(answer.body, `POST / ${body}`);
      assert.equal(answer.connection.version, protocol === "http1" ? "1.1" : "2");
      assert.equal(answer.connection.peer.identity, "spiffe://shop/orders");
    }
    assert.deepEqual(
      peers.map(({ identity, secure }) => [identity, secure]),
      Array.from({ length: 3 }, () => ["spiffe://shop/web", true]),
    );
    await pool.close(1_000);
    await listener.drain(1_000);
    assert.equal(listener.connections, 0);
  });

  test(`permissive takes mutual TLS and plain text on one port, and follows a change of mode (shared read ${sharedRead})`, async () => {
    const { listener, peers, errors, state } = await meshListener("permissive", sharedRead);
    const pool = createUpstreamPool({ identity: shop.identity("web") });
    const plain = createUpstreamPool();
    assert.equal((await call(pool, orders(listener.port))).status, 200);
    for (const protocol of ["h2c", "http1"] as const)
      assert.equal((await call(plain, orders(listener.port, protocol), "/", "abc")).body, "POST / abc");
    assert.deepEqual(
      peers.map(({ identity }) => identity),
      ["spiffe://shop/web", "", ""],
    );
    state.mode = "strict";
    assert.equal((await call(plain, orders(listener.port))).status, 200, "an open connection stays");
    assert.equal(await exchangeRaw(listener.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "");
    assert.match(errors[0], /plain text.*spiffe:\/\/shop\/orders takes mutual TLS alone.*permissive/);
    state.mode = "off";
    assert.match(await exchangeRaw(listener.port, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), /200 OK/);
    await pool.close(0);
    await plain.close(0);
    await listener.close();
  });
}

test("a first byte that comes alone, and one that never comes", async () => {
  const { listener } = await meshListener("permissive");
  const socket = connectTcp({ port: listener.port, host: "127.0.0.1", noDelay: true });
  socket.write("G");
  await until(() => listener.connections === 1, "accepted");
  await new Promise((resolve) => setImmediate(resolve));
  socket.write("ET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  await until(() => text.includes("200 OK"), "answered");
  const silent = connectTcp({ port: listener.port, host: "127.0.0.1" });
  await until(() => listener.connections >= 1, "accepted");
  silent.end();
  await until(() => listener.connections === 0, "forgotten");
  const other = connectTcp({ port: listener.port, host: "127.0.0.1" });
  other.on("error", () => {});
  await until(() => listener.connections === 1, "accepted");
  await listener.close();
  await until(() => listener.connections === 0, "closed");
});

function failure(message: RegExp): (thrown: StreamFailure) => boolean {
  return (thrown) => message.test(thrown.message);
}

/** How a client shows `material` (null: nothing) to a strict listener; what it is told, and what the listener reports. */
const badPeers: Record<string, [material: IdentityMaterial | null, reported: RegExp]> = {
  "no certificate": [null, /showed no certificate; one of spiffe:\/\/shop\/ is required/],
  expired: [shop.issue("web", { lifetimeMs: -1_000 }), /certificate for spiffe:\/\/shop\/web expired at 20/],
  "another system": [bank.issue("web"), /another system: spiffe:\/\/bank\/web; this is spiffe:\/\/shop/],
  "another system's name under our authority": [
    shop.issue("web", { uri: "spiffe://bank/web" }),
    /another system: spiffe:\/\/bank\/web; this is spiffe:\/\/shop/,
  ],
  "our name under another authority": [
    bank.issue("web", { uri: "spiffe://shop/web" }),
    /for spiffe:\/\/shop\/web is not signed by an authority that spiffe:\/\/shop\/orders trusts/,
  ],
  "not a SPIFFE id": [shop.issue("web", { uri: "https://shop/web" }), /holds no SPIFFE id \(URI:https:\/\/shop\/web\)/],
  "no service in the id": [shop.issue("web", { uri: "spiffe://shop" }), /holds no SPIFFE id/],
};

for (const [name, [material, reported]] of Object.entries(badPeers)) {
  test(`a client with a bad certificate reaches nothing and the reason is reported: ${name}`, async () => {
    const { listener, peers, errors } = await meshListener("strict");
    const options: ConnectionOptions = {
      port: listener.port,
      host: "127.0.0.1",
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: false,
      cert: material?.certificate,
      key: material?.privateKey,
    };
    const got = await new Promise<string>((resolve) => {
      let text = "";
      const socket = connect(options, () => socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
      socket.on("data", (chunk) => (text += chunk));
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
    });
    assert.equal(got, "");
    assert.equal(peers.length, 0);
    assert.equal(errors.length, 1);
    assert.match(errors[0], reported);
    await until(() => listener.connections === 0, "no socket is left");
    await listener.close();
  });
}

test("a caller that is refused learns why, and that nothing was done", async () => {
  const { listener } = await meshListener("strict");
  const material = { ...shop.issue("web", { lifetimeMs: -1_000 }) };
  const pool = createUpstreamPool({ identity: new TestIdentity("spiffe://shop/web", material) });
  await assert.rejects(call(pool, orders(listener.port), "/", "charge"), (failure: StreamFailure) => {
    assert.equal(failure.unprocessed, true);
    assert.match(failure.message, /INADEQUATE_SECURITY.*spiffe:\/\/shop\/web expired at/);
    return true;
  });
  await pool.close(0);
  await listener.close();
});

test("an endpoint that proves another identity than its own is not called, and the failure names both", async () => {
  const cases: [TestIdentity, RegExp][] = [
    [shop.identity("payments"), /it is spiffe:\/\/shop\/payments, expected was spiffe:\/\/shop\/orders/],
    [bank.identity("orders"), /another system: spiffe:\/\/bank\/orders; this is spiffe:\/\/shop, expected/],
    [
      new TestIdentity("spiffe://shop/orders", bank.issue("orders", { uri: "spiffe://shop/orders" })),
      /is not signed by an authority that spiffe:\/\/shop\/web trusts/,
    ],
    [
      new TestIdentity("spiffe://shop/orders", shop.issue("orders", { lifetimeMs: -1_000 })),
      /certificate for spiffe:\/\/shop\/orders expired/,
    ],
  ];
  for (const [identity, message] of cases) {
    const { listener, peers } = await meshListener("strict", true, identity);
    const pool = createUpstreamPool({ identity: shop.identity("web") });
    await assert.rejects(call(pool, orders(listener.port)), (failure: StreamFailure) => {
      assert.equal(failure.kind, "connect");
      assert.equal(failure.unprocessed, true);
      assert.match(failure.message, message);
      return true;
    });
    assert.ok(peers.length <= 1);
    await pool.close(0);
    await listener.close();
  }
});

test("an endpoint that should prove an identity and speaks plain text is not called", async () => {
  const listener = await listen({ handler: echoHandler });
  const pool = createUpstreamPool({ identity: shop.identity("web"), connectTimeoutMs: 2_000 });
  await assert.rejects(call(pool, orders(listener.port)), (failure: StreamFailure) => {
    assert.equal(failure.kind, "connect");
    assert.match(failure.message, /spiffe:\/\/shop\/orders/);
    return true;
  });
  await pool.close(0);
  await listener.close();
});

test("sessions are not resumed, so that a certificate is judged each time", async () => {
  const { listener, peers } = await meshListener("strict");
  const { certificate: cert, privateKey: key } = shop.issue("web");
  let session: Buffer | undefined;
  const reused: boolean[] = [];
  for (let round = 0; round < 2; round++) {
    const socket: TLSSocket = connect({
      port: listener.port,
      host: "127.0.0.1",
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: false,
      cert,
      key,
      session,
    });
    socket.on("session", (ticket) => (session = ticket));
    socket.on("secureConnect", () => reused.push(socket.isSessionReused()));
    socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
  }
  assert.deepEqual(reused, [false, false]);
  assert.equal(peers.length, 2);
  await listener.close();
});

test("a rotation is for new connections, open ones stay; trust that is taken back holds for new ones at once", async () => {
  const { listener, identity, peers } = await meshListener("strict");
  const web = shop.identity("web");
  const pool = createUpstreamPool({ identity: web });
  const first = await call(pool, orders(listener.port));
  const both = shop.trust + bank.trust;
  identity.replace({ trust: both });
  identity.replace(bank.issue("orders", { uri: "spiffe://shop/orders" }));
  identity.replace({ trust: both });
  assert.equal((await call(pool, orders(listener.port))).connection, first.connection);
  const strict = createUpstreamPool({ identity: web });
  await assert.rejects(call(strict, orders(listener.port)), failure(/not signed by an authority/));
  web.replace({ trust: both });
  assert.equal((await call(strict, orders(listener.port))).status, 200);
  identity.replace({ trust: bank.trust });
  assert.equal((await call(strict, orders(listener.port))).status, 200, "open");
  const late = createUpstreamPool({ identity: web });
  await assert.rejects(call(late, orders(listener.port)), failure(/INADEQUATE_SECURITY.*not signed/));
  web.replace(bank.issue("web", { uri: "spiffe://shop/web" }));
  assert.equal((await call(late, orders(listener.port))).status, 200);
  assert.equal(peers.length, 3);
  for (const each of [pool, strict, late]) await each.close(0);
  await listener.close();
});

test("a changed identity of an endpoint holds for the next dial", async () => {
  const { listener } = await meshListener("strict");
  const pool = createUpstreamPool({ identity: shop.identity("web") });
  await assert.rejects(
    call(pool, orders(listener.port, "h2c", "spiffe://shop/other")),
    failure(/expected was spiffe:\/\/shop\/other/),
  );
  assert.equal((await call(pool, orders(listener.port))).status, 200);
  await pool.close(0);
  await listener.close();
});

test("a strict service is not called by a process that has no identity, which is told what it needs", async () => {
  const { listener } = await meshListener("strict");
  const pool = createUpstreamPool({ mutualTls: () => "strict" });
  await assert.rejects(
    call(pool, orders(listener.port)),
    failure(/takes mutual TLS alone.*this process has no identity: start it with a join token/),
  );
  await pool.close(0);
  await listener.close();
});
