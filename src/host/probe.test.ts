import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer as http1 } from "node:http";
import { createServer as http2 } from "node:http2";
import { type AddressInfo, type Server, createServer as tcp } from "node:net";
import { test } from "node:test";
import { Ports } from "./ports.ts";
import { listenProblem, probeFor, probePort } from "./probe.ts";

async function probe(server: Server, timeoutMs = 5_000): Promise<unknown> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  assert.equal(await listenProblem("127.0.0.1", port), "EADDRINUSE");
  const protocol = await probePort(port, timeoutMs);
  server.close();
  return protocol;
}

test("what answers at a port is told apart", async () => {
  assert.equal(await probe(http2()), "h2c");
  assert.equal(await probe(http1()), "http1");
  assert.equal(await probe(tcp((socket) => socket.end())), "http1");
  const silent = tcp((socket) => socket.on("error", () => socket.destroy()));
  assert.equal(await probe(silent, 200), "http1");
});

test("looking for who holds a port of UDP keeps nobody from it", async () => {
  const port = await new Ports().take();
  assert.equal(await probeFor("udp", port), null);
  for (let i = 0; i < 50; i++) {
    const looking = probeFor("udp", port);
    const socket = createSocket("udp4").bind(port, "127.0.0.1");
    await once(socket, "listening");
    await looking;
    assert.equal(await probeFor("udp", port), "udp");
    socket.close();
    await once(socket, "close");
  }
});
