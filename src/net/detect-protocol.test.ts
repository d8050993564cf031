import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createServer2 } from "node:http2";
import { type AddressInfo, createServer as createTcp, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { detectProtocol } from "./detect-protocol.ts";

async function detected(t: TestContext, server: Server, timeoutMs = 20_000): Promise<string | null> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return detectProtocol("127.0.0.1", (server.address() as AddressInfo).port, timeoutMs);
}

test("a server that answers with SETTINGS speaks HTTP/2", async (t) => {
  assert.equal(await detected(t, createServer2()), "h2c");
});

test("a server that answers otherwise, closes, or says nothing is taken for HTTP/1.1", async (t) => {
  assert.equal(await detected(t, createServer()), "http1");
  assert.equal(
    await detected(
      t,
      createTcp((socket) => socket.end()),
    ),
    "http1",
  );
  assert.equal(
    await detected(
      t,
      createTcp((socket) => socket.unref()),
      50,
    ),
    "http1",
  );
});

test("nobody listens: that says nothing", async () => {
  assert.equal(await detectProtocol("127.0.0.1", 1, 1_000), null);
});
