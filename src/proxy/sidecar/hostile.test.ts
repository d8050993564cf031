import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { ask, endpointOf, startApp, startTestSidecar } from "./sidecar.case.ts";

/** What a peer answers to bytes, until it closes or says nothing more for a while. It says something, or closes, however long that takes. */
function send(port: number, bytes: string, quietMs = 300): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    const done = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.on("data", (chunk) => {
      if (text === "") socket.setTimeout(quietMs, done);
      text += chunk.toString("latin1");
    });
    socket.on("close", done);
    socket.on("error", done);
  });
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

test("a host that leads back to the sidecar is answered once, and goes in no circle", async (t) => {
  const app = await startApp(t);
  const web = await startTestSidecar(t, "web", app.port);
  const { port } = web.outbound;
  for (const host of [`0.0.0.0:${port}`, `[::ffff:127.0.0.1]:${port}`]) {
    const { status, body } = await ask(port, `http://${host}/`, { headers: { host } });
    assert.deepEqual([status, JSON.parse(body).reason], [400, "PROXY_LOOP"], host);
    const tunnel = await send(port, `CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    assert.equal(statusOf(tunnel), 503, host);
    assert.match(tunnel, /leads back to this sidecar/);
  }
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`])
    assert.equal(statusOf(await send(port, `CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)), 400, host);
});

test("an endpoint that is registered at the caller's own sidecar is not called, and takes nothing with it", async (t) => {
  const web = await startTestSidecar(t, "web", (await startApp(t)).port);
  const { port } = web.outbound;
  const hostile = { ...endpointOf(web, "orders"), port };
  web.policy.applyEndpoints({ endpointVersion: 2, full: true, changed: [hostile], removed: [] });
  const { status, body } = await ask(port, "/", { headers: { host: "orders.weft" } });
  assert.deepEqual([status, JSON.parse(body).reason], [503, "UPSTREAM_CONNECT"]);
});

test("what a proxy is asked for in two ways, or with a name and password, is refused", async (t) => {
  const app = await startApp(t);
  const orders = await startTestSidecar(t, "orders", app.port);
  const web = await startTestSidecar(t, "web", 1, { endpoints: [endpointOf(orders, "orders")] });
  const { port } = web.outbound;
  const refused: Record<string, string> = {
    userinfo: "GET http://admin:x@orders.weft/ HTTP/1.1\r\nhost: orders.weft\r\n\r\n",
    "userinfo as a host": "GET / HTTP/1.1\r\nhost: x@orders.weft\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nhost: orders.weft\r\nhost: admin.weft\r\n\r\n",
    "two lengths": "POST / HTTP/1.1\r\nhost: orders.weft\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "length and chunks":
      "POST / HTTP/1.1\r\nhost: orders.weft\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: orders.weft\r\n\r\n",
    "a coding that is not known":
      "POST / HTTP/1.1\r\nhost: orders.weft\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: orders.weft\r\n\r\n",
    "a coding with a control character":
      "POST / HTTP/1.1\r\nhost: orders.weft\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: orders.weft\r\n\r\n",
    "a space before the colon":
      "POST / HTTP/1.1\r\nhost: orders.weft\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: orders.weft\r\n\r\n",
    "a folded field": "GET / HTTP/1.1\r\nhost: orders.weft\r\nx-a: b\r\n x-weft-peer: spiffe://shop/admin\r\n\r\n",
    "bare line feeds in chunks":
      "POST / HTTP/1.1\r\nhost: orders.weft\r\ntransfer-encoding: chunked\r\n\r\n1\n\nA\n0\n\nGET /smuggled HTTP/1.1\r\nhost: orders.weft\r\n\r\n",
    "a head without end": `GET / HTTP/1.1\r\nhost: orders.weft\r\nx: ${"a".repeat(200_000)}\r\n\r\n`,
  };
  for (const side of [port, orders.inbound.port])
    for (const [what, bytes] of Object.entries(refused)) {
      const answer = await send(side, bytes);
      if (side === orders.inbound.port && what.startsWith("userinfo")) continue; // who calls an application's own address names it as it likes
      assert.ok([0, 400, 413, 431, 501].includes(statusOf(answer)), `${what}: ${answer.slice(0, 200)}`);
      assert.equal(answer.split("HTTP/1.1 ").length, 2, `${what}: one answer`);
    }
  assert.equal(app.requests.filter(({ url }) => url === "/smuggled").length, 0);
  // The target counts, not the host (RFC 9112 section 3.2.2).
  const twice = await send(
    port,
    "GET http://orders.weft/which HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n",
  );
  assert.equal(statusOf(twice), 200);
  assert.equal(app.requests.at(-1)?.headers.host, "orders.weft");
});

test("nobody says x-weft-peer to an application, however it is sent", async (t) => {
  const seen: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      seen.push({
        ...request.headers,
        ...request.trailers,
        raw: request.rawHeaders.concat(request.rawTrailers).join("\n"),
      });
      response.end("ok");
    });
  });
  server.on("upgrade", (request, socket) => {
    seen.push({ ...request.headers, raw: request.rawHeaders.join("\n") });
    socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => void server.closeAllConnections());
  t.after(() => void server.close());
  const orders = await startTestSidecar(t, "orders", (server.address() as AddressInfo).port);
  const { port } = orders.inbound;
  const admin = "spiffe://shop/admin";
  const upgrade =
    "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nconnection: upgrade";
  const ways = [
    `GET / HTTP/1.1\r\nhost: o\r\nx-weft-peer: ${admin}\r\nX-Weft-Peer: ${admin}\r\nX_WEFT_PEER: ${admin}\r\nx-weft_peer: ${admin}\r\n\r\n`,
    `GET / HTTP/1.1\r\nhost: o\r\nconnection: x-weft-peer, close\r\nx-weft-peer: ${admin}\r\n\r\n`,
    `GET / HTTP/1.1\r\nhost: o\r\n${upgrade}, x-weft-peer\r\nx-weft-peer: ${admin}\r\n\r\n`,
    `GET / HTTP/1.1\r\nhost: o\r\n${upgrade}\r\nX_Weft_Peer: ${admin}\r\n\r\n`,
    `POST / HTTP/1.1\r\nhost: o\r\ntransfer-encoding: chunked\r\ntrailer: x-weft-peer\r\n\r\n1\r\na\r\n0\r\nx-weft-peer: ${admin}\r\nX_Weft_Peer: ${admin}\r\n\r\n`,
    `GET / HTTP/1.1\r\nhost: o\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\nx-weft-peer: ${admin}\r\n\r\n`,
  ];
  for (const way of ways) await send(port, way, 150);
  const client = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = client.request(
    { ":method": "POST", ":path": "/", "x-weft-peer": admin, x_weft_peer: admin },
    { waitForTrailers: true },
  );
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-weft-peer": admin }));
  stream.end("a");
  stream.resume();
  await new Promise((resolve) => stream.on("close", resolve));
  client.close();
  assert.equal(seen.length, ways.length + 1);
  for (const [i, headers] of seen.entries())
    assert.doesNotMatch(JSON.stringify(headers), /admin/, `${i}: ${headers.raw}`);
});
