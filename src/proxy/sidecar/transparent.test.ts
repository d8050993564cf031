import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { systemClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import { listen } from "../../net/listener.ts";
import type { OriginalDestination } from "../../net/original-destination.ts";
import { Egress } from "./egress.ts";
import { takeIntercepted } from "./transparent.ts";

async function serverOf(t: TestContext, onSocket: (socket: Socket) => void): Promise<OriginalDestination> {
  const server: Server = createServer(onSocket).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

/** A listener to which everything is redirected that was meant for `original`. */
async function redirected(
  t: TestContext,
  original: OriginalDestination | null,
  mode: "any" | "mesh" = "any",
  otherAfterMs = 10_000,
) {
  const problems: WeftError[] = [];
  const toMesh: string[] = [];
  const listener = await listen({
    handler: { onRequest: (stream) => stream.reset(8) },
    other: takeIntercepted({
      egress: new Egress(mode, systemClock),
      bytes: (connection, received, destination) => {
        toMesh.push(`${destination.host} ${received.length > 100}`);
        connection.destroy();
      },
      original: () => Promise.resolve(original),
      isOwn: (_host, port) => port === listener.port,
      onProblem: (error) => problems.push(error),
    }),
    otherAfterMs,
    sharedRead: false,
  });
  t.after(() => listener.close());
  const client = connect(listener.port, "127.0.0.1");
  t.after(() => client.destroy());
  client.on("error", () => {});
  return { client, listener, problems, toMesh };
}

test("bytes that are no HTTP go where they were to go, both ways, to their end", async (t) => {
  const original = await serverOf(t, (socket) => socket.pipe(socket));
  const { client } = await redirected(t, original);
  const sent = Buffer.alloc(300_000, 1);
  client.end(sent);
  const got = Buffer.concat(await client.toArray());
  assert.ok(got.equals(sent));
});

test("where the server speaks first, its client is not waited for", async (t) => {
  const original = await serverOf(t, (socket) => socket.end("220 ready\r\n"));
  const { client } = await redirected(t, original, "any", 20);
  assert.equal(String((await once(client, "data"))[0]), "220 ready\r\n");
});

test("TLS goes by its server name: to a service of the mesh, else where it was to go", async (t) => {
  let seen = 0;
  const original = await serverOf(t, (socket) => {
    socket.once("data", (chunk) => {
      seen = chunk[0];
      socket.destroy();
    });
  });
  const mesh = await redirected(t, original);
  const named = connectTls({ socket: mesh.client, servername: "orders.weft" });
  named.on("error", () => {});
  await closed(named);
  assert.deepEqual(mesh.toMesh, ["orders.weft true"]);
  const outside = await redirected(t, original);
  const other = connectTls({ socket: outside.client, servername: "example.com" });
  other.on("error", () => {});
  await closed(other);
  assert.deepEqual([seen, outside.toMesh], [0x16, []]);
});

test("what is not to go out, or goes nowhere, is closed, and people are told why", async (t) => {
  const original = await serverOf(t, (socket) => socket.destroy());
  for (const [where, mode, message] of [
    [null, "any", /nothing says where it was to go/],
    [original, "mesh", /no service of the mesh/],
  ] as const) {
    const { client, problems } = await redirected(t, where, mode);
    client.write("\0\0\0");
    await closed(client);
    assert.match(problems[0].message, message);
  }
});

/** Whatever came before. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}
