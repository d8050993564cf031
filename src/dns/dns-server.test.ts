import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { ask, readMessage } from "../wire/dns/message.case.ts";
import { type DnsServer, type DnsServerOptions, startDnsServer } from "./dns-server.ts";
import { endpoint, zoneOf } from "./endpoints.case.ts";

const MANY = Array.from({ length: 200 }, (_, n) => endpoint(n, { host: `10.0.1.${n}` }));

async function started(t: TestContext, options: Partial<DnsServerOptions> = {}): Promise<DnsServer> {
  const server = await startDnsServer({ zone: zoneOf(MANY), port: 0, ...options });
  t.after(() => server.close());
  return server;
}

async function connected(t: TestContext, { port }: DnsServer): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

function framed(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message]);
}

/** Sends datagrams and resolves with the first that comes back. */
async function overUdp(t: TestContext, { port }: DnsServer, ...datagrams: Uint8Array[]): Promise<Buffer> {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const answer = once(socket, "message");
  for (const datagram of datagrams) socket.send(datagram, port, "127.0.0.1");
  return (await answer)[0];
}

async function message(socket: Socket): Promise<Buffer> {
  let gathered = Buffer.alloc(0);
  while (gathered.length < 2 || gathered.length < 2 + gathered.readUInt16BE()) {
    gathered = Buffer.concat([gathered, (await once(socket, "data"))[0]]);
  }
  return gathered.subarray(2);
}

test("one port answers over UDP and TCP", async (t) => {
  const server = await started(t);
  const short = readMessage(await overUdp(t, server, ask("products.weft.")));
  assert.deepEqual([short.truncated, short.id], [true, 7]);
  const socket = await connected(t, server);
  socket.write(framed(ask("products.weft.")));
  assert.equal(readMessage(await message(socket)).answers.length, 200);
});

test("hostile datagrams get no answer, or that they are malformed; the next query is answered", async (t) => {
  const server = await started(t);
  const response = ask("products.weft.").fill(0x80, 2, 3);
  const junk = [new Uint8Array(0), new Uint8Array(11), response, new Uint8Array(65_000).fill(0x80)];
  const read = readMessage(await overUdp(t, server, ...junk, ask("products.weft.", { id: 9 })));
  assert.equal(read.id, 9);
});

test("a message that is empty or too long ends its connection", async (t) => {
  const server = await started(t);
  for (const bytes of [Buffer.from([0, 0]), Buffer.from([0xff, 0xff, 1])]) {
    const socket = await connected(t, server);
    socket.resume().write(bytes);
    await once(socket, "close");
  }
});

test("queries in one packet are answered in their order, also those before the client's end", async (t) => {
  const server = await started(t);
  const socket = await connected(t, server);
  socket.end(Buffer.concat([1, 2, 3].map((id) => framed(ask("nobody.weft.", { id })))));
  const chunks: Buffer[] = await socket.toArray();
  let rest = Buffer.concat(chunks);
  const ids: number[] = [];
  for (; rest.length > 0; rest = rest.subarray(2 + rest.readUInt16BE())) {
    ids.push(readMessage(rest.subarray(2, 2 + rest.readUInt16BE())).id);
  }
  assert.deepEqual(ids, [1, 2, 3]);
});

test("a client that reads nothing is not answered without end, and gets every answer once it reads", async (t) => {
  let answered = 0;
  const zone = zoneOf(MANY);
  const find = zone.find.bind(zone);
  zone.find = (name) => {
    answered++;
    return find(name);
  };
  const server = await started(t, { zone });
  const socket = await connected(t, server);
  socket.pause();
  const asked = 20_000; // 65 MB of answers
  const query = framed(ask("products.weft."));
  socket.end(Buffer.concat(Array.from({ length: asked }, () => query)));
  let before = -1;
  while (answered === 0 || before !== answered) {
    before = answered;
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(answered < asked / 2, `${answered} were answered`);
  let bytes = 0;
  for await (const chunk of socket) bytes += chunk.length;
  assert.equal(answered, asked);
  assert.equal(bytes, asked * (2 + 31 + 200 * 16));
});

test("silent connections end; when there are too many, the one that was silent longest does", async (t) => {
  const clock = new VirtualClock();
  const server = await started(t, { clock, idleTimeoutMs: 5_000 });
  const sockets: Socket[] = [];
  for (let i = 0; i < 128; i++) sockets.push(await connected(t, server));
  const first = once(sockets[0].resume(), "close");
  clock.advance(1_000);
  const late = await connected(t, server);
  await first;
  late.write(framed(ask("nobody.weft.")));
  assert.equal(readMessage(await message(late)).rcode, 3);
  const all = sockets.slice(1).map((socket) => once(socket.resume(), "close"));
  const closed = once(late, "close");
  clock.advance(10_000);
  await Promise.all([...all, closed]);
});

test("who is not allowed gets nothing", async (t) => {
  const server = await started(t, { allow: ["192.0.2.0/24"] });
  const socket = await connected(t, server);
  await once(socket.resume(), "close");
  const udp = createSocket("udp4");
  t.after(() => udp.close());
  let answers = 0;
  udp.on("message", () => answers++);
  await new Promise((sent) => udp.send(ask("products.weft."), server.port, "127.0.0.1", sent));
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answers, 0);
});

test("a port in use is told as such", async (t) => {
  const { port } = await started(t);
  await assert.rejects(startDnsServer({ zone: zoneOf([]), port }), { reason: "PORT_IN_USE" });
  const udp = createSocket("udp4").bind(0, "127.0.0.1");
  t.after(() => udp.close());
  await once(udp, "listening");
  await assert.rejects(startDnsServer({ zone: zoneOf([]), port: udp.address().port }), { reason: "PORT_IN_USE" });
});
