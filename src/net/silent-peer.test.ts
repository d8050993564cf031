import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createServer } from "node:tls";
import { VirtualClock } from "../core/clock.ts";
import { call, endpointAt, until } from "./harness.case.ts";
import { TestAuthority } from "./identity.case.ts";
import { createUpstreamPool } from "./pool.ts";

test("a peer of the mesh that gives no sign of life is given up, and what waits for it fails", async (t) => {
  const shop = new TestAuthority();
  const { certificate: cert, privateKey: key, trust: ca } = shop.issue("orders");
  let received = 0;
  const server = createServer({ cert, key, ca, requestCert: true, ALPNProtocols: ["h2"] }, (socket) => {
    socket.on("data", (chunk) => (received += chunk.length)).on("error", () => {});
    socket.write(SETTINGS);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const clock = new VirtualClock();
  const pool = createUpstreamPool({ identity: shop.identity("web"), clock });
  t.after(async () => {
    await pool.close(0);
    server.close();
  });
  const answer = call(pool, { ...endpointAt(port, "h2c"), identity: "spiffe://shop/orders" }).then(
    () => "answered",
    (error: unknown) => String((error as { message?: string }).message ?? error),
  );
  await until(() => received > 24, "the request");
  let ended = "";
  void answer.then((how) => (ended = how));
  let seconds = 0;
  for (; ended === "" && seconds < 60; seconds++) {
    clock.advance(1_000);
    await new Promise(setImmediate);
  }
  assert.match(ended, /gives no sign of life/);
  assert.ok(seconds >= 40, `after ${seconds} s`);
});

/** Its own, and that it has seen ours. */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]);
