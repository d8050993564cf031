import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { openEtcdRegistry } from "./etcd-registry.ts";

/** UNAVAILABLE, and INVALID_ARGUMENT, by which etcd refuses a password. */
const [AWAY, REFUSED] = [14, 3];

test("a login that is refused is told at once, also when the server could not be asked at first", async () => {
  const server = createServer();
  let asked = 0;
  server.on("stream", (stream, { ":path": path }) => {
    assert.equal(path, "/etcdserverpb.Auth/Authenticate");
    const status = asked++ === 0 ? AWAY : REFUSED;
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "grpc-status": `${status}` },
      { endStream: true },
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const opening = openEtcdRegistry({
      url: `etcd://me:wrong@127.0.0.1:${port}`,
      system: "shop",
      openTimeoutMs: 5_000,
    });
    await assert.rejects(opening, { code: "unauthenticated" });
    assert.equal(asked, 2);
  } finally {
    server.close();
  }
});
