import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { adminSocketOf, drainEnvoy, envoyIsReady } from "./envoy.ts";

test("an Envoy's administration is a socket in the state folder, or a short one where that is too deep for a socket", () => {
  assert.equal(adminSocketOf("/srv/shop/.weft", "orders-1"), "/srv/shop/.weft/known/orders-1.admin");
  const deep = adminSocketOf(`/srv/${"deep/".repeat(30)}.weft`, "orders-1");
  assert.ok(Buffer.byteLength(deep) <= 103, deep);
  assert.notEqual(deep, adminSocketOf(`/srv/${"deep/".repeat(30)}.weft`, "orders-2"));
});

test("an Envoy is ready once it listens for its application, and not by its own word alone", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-envoy-admin-"));
  const socket = join(folder, "admin");
  assert.equal(await envoyIsReady(socket), false, "it does not run");
  let listeners = "";
  let live = false;
  const admin = createServer((request, response) => {
    if (request.url === "/ready") response.writeHead(live ? 200 : 503).end("LIVE\n");
    else response.end(request.url === "/listeners" ? listeners : "");
  });
  admin.listen(socket);
  t.after(() => {
    admin.close();
    rmSync(folder, { recursive: true });
  });
  await once(admin, "listening");
  assert.equal(await envoyIsReady(socket), false);
  live = true;
  listeners = "outbound::127.0.0.1:15001\n";
  assert.equal(await envoyIsReady(socket), false, "it could not listen for its application");
  listeners += "inbound::127.0.0.1:15006\n";
  assert.equal(await envoyIsReady(socket), true);
});

test("an Envoy that is busy is waited for until it drains, and one that is gone is not", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-envoy-admin-"));
  const socket = join(folder, "admin");
  let active = 2;
  const admin = createServer((request, response) => {
    if (request.method === "POST") setTimeout(() => response.end("OK\n"), 1_100);
    else response.end(`http.inbound.downstream_rq_active: ${active--}\n`);
  });
  admin.listen(socket);
  t.after(() => rmSync(folder, { recursive: true }));
  await once(admin, "listening");
  const wait = async (): Promise<void> => {};
  await drainEnvoy(socket, 10_000, wait);
  assert.equal(active, -1, "it looked until nothing was in flight");
  await new Promise((resolve) => admin.close(resolve));
  await drainEnvoy(socket, 10_000, wait);
});
