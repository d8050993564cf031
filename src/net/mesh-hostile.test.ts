import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import type { MutualTls } from "../core/identity.ts";
import { call, echoHandler, endpointAt, until } from "./harness.case.ts";
import { TestAuthority } from "./identity.case.ts";
import { listen } from "./listener.ts";
import { createUpstreamPool } from "./pool.ts";

const shop = new TestAuthority("shop");

async function listening(mode: MutualTls, limits = {}) {
  const problems: string[] = [];
  const listener = await listen({
    handler: echoHandler,
    mesh: { identity: shop.identity("orders"), mode: () => mode },
    limits: { headTimeoutMs: 1_000, ...limits },
    onConnectionError: (_peer, message) => problems.push(message),
  });
  return { listener, problems };
}

/** Writes the parts one after the other; answers all that came until the end, or "open" when there is none for a while. */
function say(port: number, parts: readonly (string | Uint8Array)[], waitMs = 20_000): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    const timer = setTimeout(() => end(`open ${text}`), waitMs);
    const end = (what: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(what);
    };
    socket.setNoDelay(true);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => end(text));
    socket.once("connect", async () => {
      for (const part of parts) {
        socket.write(part);
        await new Promise((next) => setTimeout(next, 5));
      }
    });
  });
}

const GET = "GET / HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n";

test("the first byte decides, however slowly it and those behind it come, and nobody passes for the other kind", async () => {
  const strict = await listening("strict");
  const open = await listening("permissive");
  const [answers, plain] = await Promise.all([
    Promise.all(
      [
        [GET],
        [...GET],
        ["\x16", GET],
        ["\x16\x03", "\x01", GET],
        ["\x80\x2e\x01\x03\x01"], // SSL 2
        ["\x00"],
        ["\x16\x03\x01\xff\xff", "\x01"],
        [],
      ].map((parts) =>
        say(
          strict.listener.port,
          parts.map((part) => Buffer.from(part, "latin1")),
        ),
      ),
    ),
    Promise.all([
      say(open.listener.port, [...GET]),
      say(open.listener.port, ["\x16", GET]),
      say(open.listener.port, ["\x00\x01\x02\x03"]),
    ]),
  ]);
  for (const answer of answers) assert.doesNotMatch(answer, /HTTP\/1\.1 200|^open/, JSON.stringify(answer));
  assert.ok(strict.problems.some((line) => /speaks plain text/.test(line)));
  assert.ok(strict.problems.some((line) => /neither TLS nor HTTP/.test(line)));
  assert.match(plain[0], /^HTTP\/1\.1 200/);
  for (const answer of plain.slice(1)) assert.doesNotMatch(answer, /HTTP\/1\.1 200/);
  await Promise.all([strict.listener.close(), open.listener.close()]);
});

test("handshakes that are begun and left make room again: those who prove who they are get in", async () => {
  const { listener } = await listening("strict", { maxConnections: 20 });
  const sockets: Socket[] = [];
  for (let i = 0; i < 60; i++) {
    const socket = connect(listener.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.once("connect", () =>
      socket.write(Buffer.from(i % 2 === 0 ? "\x16" : "\x16\x03\x01\x00\xff\x01", "latin1")),
    );
    sockets.push(socket);
  }
  await until(() => listener.connections >= 20, "all room taken");
  assert.ok(listener.connections <= 20, `${listener.connections}`);
  const endpoint = { ...endpointAt(listener.port, "h2c"), service: "orders", identity: "spiffe://shop/orders" };
  const deadline = Date.now() + 20_000;
  let status = 0;
  while (status !== 200 && Date.now() < deadline) {
    const pool = createUpstreamPool({ identity: shop.identity("web") });
    status = await call(pool, endpoint, "/").then(
      () => 200,
      () => 0,
    );
    await pool.close(0);
    if (status === 0) await new Promise((next) => setTimeout(next, 100));
  }
  assert.equal(status, 200);
  for (const socket of sockets) socket.destroy();
  await listener.close();
});

test("a listener for TLS lets go of handshakes that are begun and left, too", async () => {
  const material = shop.issue("orders");
  const listener = await listen({
    handler: echoHandler,
    tls: { cert: material.certificate, key: material.privateKey },
    limits: { headTimeoutMs: 500 },
  });
  const sockets = Array.from({ length: 5 }, () => {
    const socket = connect(listener.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.once("connect", () => socket.write(Buffer.from([0x16])));
    return socket;
  });
  await until(() => listener.connections === 5, "all of them");
  await until(() => listener.connections === 0, "all to be let go");
  for (const socket of sockets) socket.destroy();
  await listener.close();
});
