import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { VirtualClock } from "../core/clock.ts";
import { traffic } from "../policy/builders.ts";
import { startSecured } from "./secured.case.ts";

test("a REST caller's deadline holds, and what is left of it goes on", async (t) => {
  const world = await startSecured(t, []);
  const answer = await fetch(`${world.url}/x`, { headers: { "grpc-timeout": "5S" } });
  const sent = (await answer.json()) as Record<string, string>;
  const [, amount, unit] = /^(\d+)([a-zA-Z])$/.exec(sent["grpc-timeout"]) ?? [];
  const leftMs = Number(amount) * ({ S: 1_000, m: 1, u: 0.001, n: 1e-6 }[unit] ?? Number.NaN);
  assert.ok(leftMs > 3_000 && leftMs < 5_000, sent["grpc-timeout"]);
  assert.match(JSON.stringify(world.newest()), /from the caller's deadline/);
  const wrong = await fetch(`${world.url}/x`, { headers: { "grpc-timeout": "soon" } });
  assert.equal(wrong.status, 400);
  const none = (await (await fetch(`${world.url}/x`)).json()) as Record<string, string>;
  assert.equal(none["grpc-timeout"], undefined);
});

test("what a believed caller says of its attempt goes on, and its call is not retried again", async (t) => {
  const world = await startSecured(t, traffic("shop").timeout("30s").resources());
  const again = await fetch(`${world.url}/x`, { headers: { "x-weft-attempt": "2" } });
  assert.equal(((await again.json()) as Record<string, string>)["x-weft-attempt"], "2");
  const first = await fetch(`${world.url}/x`, { headers: { "x-weft-attempt": "none" } });
  assert.equal(((await first.json()) as Record<string, string>)["x-weft-attempt"], undefined);
  // Nobody listens there: the first of a call's attempts is retried, a caller's second is not.
  const dead = { service: "shop", host: "127.0.0.1", port: 1, version: "", zone: "", weight: 1, metadata: {} };
  const changed = ["shop-1", "shop-2", "shop-3"].map((id) => {
    return { id, ...dead, protocol: "http1", health: "healthy" } as const;
  });
  world.runtime.applyEndpoints({ endpointVersion: 2, full: true, changed, removed: [] });
  await fetch(`${world.url}/x`);
  assert.equal(world.newest().attempts.length, 3);
  await fetch(`${world.url}/x`, { headers: { "x-weft-attempt": "2" } });
  assert.equal(world.newest().attempts.length, 1);
  assert.match(JSON.stringify(world.newest()), /the caller retries itself/);
});

test("a WebSocket that falls silent is closed by its idle time-out, one that carries bytes is not", async (t) => {
  const echo = createServer();
  echo.on("upgrade", (_request, socket: Socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.pipe(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  t.after(() => echo.close());
  const { port } = echo.address() as AddressInfo;
  const clock = new VirtualClock();
  const world = await startSecured(t, traffic("shop").idleTimeout("200ms").resources(), { clock });
  world.runtime.applyEndpoints({
    endpointVersion: 2,
    full: true,
    changed: [
      {
        ...{ id: "shop-2", service: "shop", host: "127.0.0.1", port, version: "", zone: "", weight: 1 },
        ...{ protocol: "http1", health: "healthy", metadata: {} },
      },
    ],
    removed: [],
  });
  const socket = await new Promise<Socket>((resolve, reject) => {
    const headers = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
    const key = { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
    const asked = request(`${world.url}/ws`, { headers: { ...headers, ...key } });
    asked.on("upgrade", (_response, upgraded: Socket) => resolve(upgraded));
    asked.on("error", reject);
    asked.end();
  });
  socket.on("error", () => {});
  let heard = 0;
  socket.on("data", (chunk: Buffer) => (heard += chunk.length));
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  for (let i = 1; i <= 10; i++) {
    socket.write("x");
    while (heard < i && !socket.destroyed) await sleep(1);
    clock.advance(150);
  }
  assert.equal(socket.destroyed, false);
  assert.equal(heard, 10);
  clock.advance(200);
  await closed;
  assert.equal(world.newest().outcome.reason, "IDLE_TIMEOUT");
});
