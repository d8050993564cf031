import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "node:tls";
import type { PeerInfo, StreamFailure } from "../wire/stream.ts";
import {
  CA_CERT,
  PLAIN_CERT,
  PLAIN_KEY,
  SERVER_CERT,
  SERVER_KEY,
  SPIFFE_CERT,
  SPIFFE_KEY,
} from "./certificates.case.ts";
import { call, echoHandler, endpointAt, exchangeRaw, until } from "./harness.case.ts";
import { listen } from "./listener.ts";
import { createUpstreamPool } from "./pool.ts";

const server = { cert: SERVER_CERT, key: SERVER_KEY };

test("under TLS the protocol follows ALPN, and HTTP/1.1 and HTTP/2 are both served", async () => {
  const peers: PeerInfo[] = [];
  const listener = await listen({ handler: echoHandler, tls: server, onConnection: (peer) => peers.push(peer) });
  const pool = createUpstreamPool({ tls: { ca: CA_CERT } });
  const body = "x".repeat(300_000);
  const answer = await call(pool, endpointAt(listener.port, "h2"), "/", body);
  assert.equal(answer.body, `POST / ${body}`);
  assert.equal(answer.connection.version, "2");
  assert.equal(peers[0].secure, true);
  assert.equal(peers[0].identity, "");
  for (const protocols of [["http/1.1"], undefined]) {
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port: listener.port, ca: CA_CERT, ALPNProtocols: protocols });
      let received = "";
      socket.write("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      socket.on("data", (chunk) => (received += chunk.toString("latin1")));
      socket.on("error", reject);
      socket.on("close", () => resolve(received));
    });
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*GET \/x $/s);
  }
  await pool.close(1_000);
  await listener.drain(1_000);
  assert.equal(listener.connections, 0);
});

test("a verified client certificate gives the peer its identity: the SPIFFE id, otherwise the common name", async () => {
  const peers: PeerInfo[] = [];
  const tls = { ...server, ca: CA_CERT, requireClientCertificate: true };
  const listener = await listen({ handler: echoHandler, tls, onConnection: (peer) => peers.push(peer) });
  for (const [cert, key] of [
    [SPIFFE_CERT, SPIFFE_KEY],
    [PLAIN_CERT, PLAIN_KEY],
  ]) {
    const pool = createUpstreamPool({ tls: { ca: CA_CERT, cert, key } });
    assert.equal((await call(pool, endpointAt(listener.port, "h2"))).status, 200);
    await pool.close(1_000);
  }
  assert.deepEqual(
    peers.map((peer) => peer.identity),
    ["spiffe://shop/ns/default/sa/orders", "plain"],
  );
  const bare = createUpstreamPool({ tls: { ca: CA_CERT } });
  await assert.rejects(call(bare, endpointAt(listener.port, "h2")));
  assert.equal(peers.length, 2);
  await bare.close(0);
  await listener.close();
});

test("a server that is not trusted is a connect failure with the cause; plain text at a TLS port is closed and reported", async () => {
  const errors: string[] = [];
  const listener = await listen({
    handler: echoHandler,
    tls: server,
    onConnectionError: (_peer, message) => errors.push(message),
  });
  const pool = createUpstreamPool();
  await assert.rejects(call(pool, endpointAt(listener.port, "h2")), (failure: StreamFailure) => {
    assert.equal(failure.kind, "connect");
    assert.equal(failure.unprocessed, true);
    assert.match(failure.message, /127\.0\.0\.1:\d+: .*(certificate|verify)/);
    return true;
  });
  await exchangeRaw(listener.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await until(
    () => errors.some((message) => message.startsWith("TLS handshake failed")),
    "the failed handshake is reported",
  );
  await pool.close(0);
  await listener.close();
  await until(() => listener.connections === 0, "no socket is left");
});
