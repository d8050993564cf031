import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { encodeProxyHeader } from "../wire/proxy-protocol/proxy-header-writer.ts";
import type { ByteConnection } from "./byte-connection.ts";
import { until } from "./harness.case.ts";
import { type AcceptedConnection, listenTcp, type TcpListenOptions } from "./tcp-listener.ts";

/** What is heard of each connection. */
async function world(t: TestContext, options: Partial<TcpListenOptions>) {
  const accepted: { at: AcceptedConnection; connection: ByteConnection; text: string }[] = [];
  const refused: string[] = [];
  const listener = await listenTcp({
    ...options,
    onConnection(connection, at) {
      const one = { at, connection, text: "" };
      accepted.push(one);
      connection.own({
        onBytes(_connection, chunk, start, end) {
          one.text += Buffer.from(chunk.subarray(start, end)).toString("latin1");
          return true;
        },
        onEnd: (ended) => ended.end(),
        onDrained() {},
        onClosed() {},
      });
    },
    onRefused: (_peer, message) => refused.push(message),
  });
  t.after(() => listener.close());
  const open = async (): Promise<Socket> => {
    const socket = connect({ port: listener.port, host: "127.0.0.1", noDelay: true });
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  };
  return { listener, accepted, refused, open };
}

/** A real client's ClientHello. */
async function clientHello(servername: string): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connectTls({ port: (server.address() as { port: number }).port, host: "127.0.0.1", servername });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  server.close();
  return bytes;
}

test("header and hello may come byte by byte, and what follows comes whole", async (t) => {
  const { accepted, open } = await world(t, { proxied: () => true, clientHello: true });
  const hello = await clientHello("shop.example");
  const header = encodeProxyHeader("v2", "192.0.2.7:4711", "198.51.100.1:443");
  const socket = await open();
  const head = Buffer.concat([header, hello]);
  for (let at = 0; at < head.length; at += 40) {
    socket.write(head.subarray(at, at + 40));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end("rest");
  await until(() => accepted[0]?.text.endsWith("rest") === true, "the rest");
  assert.equal(accepted[0].at.peer.address, "192.0.2.7:4711");
  assert.equal(accepted[0].at.serverName, "shop.example");
  assert.equal(accepted[0].text, `${hello.toString("latin1")}rest`);
});

test("what is not what it should be is refused and told", async (t) => {
  const { accepted, refused, open, listener } = await world(t, { proxied: () => true });
  (await open()).write("GET / HTTP/1.1\r\n");
  await until(() => refused.length === 1, "refused");
  (await open()).end("PROXY TC");
  await until(() => refused.length === 2, "refused again");
  assert.match(refused[0], /no PROXY protocol header/);
  assert.match(refused[1], /ended before it said/);
  await until(() => listener.connections === 0, "all closed");
  assert.equal(accepted.length, 0);
});

test("nothing in time, and more connections than allowed, are closed", async (t) => {
  const slow = await world(t, { proxied: () => true, headTimeoutMs: 1 });
  await once(await slow.open(), "close");
  assert.match(slow.refused[0], /not come in time/);
  const full = await world(t, { maxConnections: 1 });
  await full.open();
  await until(() => full.accepted.length === 1, "one");
  await once(await full.open(), "close");
  assert.equal(full.accepted.length, 1);
});
