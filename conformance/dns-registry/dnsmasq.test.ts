import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { openDnsRegistry } from "../../src/drivers/dns/dns-registry.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { answerTo } from "../../src/wire/dns/answer.case.ts";
import { freePort } from "../free-port.ts";
import { HurtLine } from "../hurt-line.ts";
import { wait } from "../registry-plane.ts";
import { Dnsmasq } from "./dnsmasq.ts";

/** The registry in DNS against real dnsmasq servers, and against one that only does harm. */

const host = (name: string, address: string) => `host-record=${name}.svc.test,${address},1`;
const service = (name: string, target: string, port: number, weight = 1) =>
  `srv-host=${name}.svc.test,${target}.svc.test,${port},0,${weight}`;
const WEB = [
  "local-ttl=1",
  service("web", "one", 8081),
  service("web", "two", 8082, 3),
  host("one", "10.0.0.1"),
  host("two", "10.0.0.2,fd00::2"),
];

let first: Dnsmasq;
let second: Dnsmasq;
const opened: Registry[] = [];
before(async () => {
  [first, second] = await Promise.all([Dnsmasq.start(WEB), Dnsmasq.start(WEB)]);
});
after(async () => {
  for (const registry of opened) await registry.close();
  await Promise.all([first.stop(), second.stop()]);
});

async function open(servers: readonly { port: number }[], query = "services=web", more: object = {}) {
  const told: string[] = [];
  const registry = await openDnsRegistry({
    url: `dns://${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/svc.test?${query}`,
    onError: ({ message }) => told.push(message),
    onRecovered: () => told.push("recovered"),
    ...more,
  });
  opened.push(registry);
  const of = async (name: string) => {
    const { endpoints } = await registry.query([name]);
    return endpoints
      .map((one) => `${one.host}:${one.port}/${one.weight}`)
      .sort()
      .join(" ");
  };
  const until = async (wanted: string, name = "web", limitMs = 5_000): Promise<number> => {
    const started = performance.now();
    while ((await of(name)) !== wanted) {
      assert.ok(
        performance.now() - started < limitMs,
        `not within ${limitMs} ms: ${wanted}; there are ${await of(name)}`,
      );
      await wait(10);
    }
    return performance.now() - started;
  };
  const staleMs = async () => (await registry.query([])).staleMs;
  return { registry, of, until, staleMs, told };
}

const BOTH = "10.0.0.1:8081/1 10.0.0.2:8082/3 fd00::2:8082/3";

test("SRV records, and the addresses of their targets", async () => {
  const { of, registry } = await open([first]);
  assert.equal(await of("web"), BOTH);
  assert.deepEqual((await registry.query(["*"])).endpoints.map(({ id }) => id).sort(), [
    "web/10.0.0.1:8081",
    "web/10.0.0.2:8082",
    "web/[fd00::2]:8082",
  ]);
  assert.equal(await of("nobody"), "");
  await registry.close();
});

test("a CNAME, an address alone with the url's port, and _web._tcp", async () => {
  const server = await Dnsmasq.start([
    "local-ttl=1",
    "cname=alias.svc.test,one.svc.test",
    host("one", "10.0.0.1"),
    "srv-host=_shop._tcp.svc.test,one.svc.test,9000,0,1",
  ]);
  const { of, registry } = await open([server], "port=80");
  assert.equal(await of("alias"), "10.0.0.1:80/1");
  assert.equal(await of("one"), "10.0.0.1:80/1");
  assert.equal(await of("shop"), "10.0.0.1:9000/1");
  await registry.close();
  await server.stop();
});

test("a change is there when the TTL is over, and what is no longer named leaves", async () => {
  const server = await Dnsmasq.start(WEB);
  const { until, registry } = await open([server]);
  await until(BOTH);
  await server.name(["local-ttl=1", service("web", "two", 8082), host("two", "10.0.0.2"), service("new", "two", 1)]);
  const took = await until("10.0.0.2:8082/1");
  console.log(`measured a change in the zone was seen after ${Math.round(took)} ms (TTL 1 s)`);
  assert.ok(took < 2_500);
  await until("10.0.0.2:1/1", "new");
  await registry.close();
  await server.stop();
});

test("more records than a datagram takes come over TCP", async () => {
  const many = Array.from({ length: 60 }, (_, i) => [
    service("many", `a-rather-long-name-of-a-host-${i}`, 7000 + i),
    host(`a-rather-long-name-of-a-host-${i}`, `10.0.1.${i}`),
  ]);
  const server = await Dnsmasq.start(["local-ttl=1", ...many.flat()]);
  const { registry } = await open([server], "services=many");
  assert.equal((await registry.query(["many"])).endpoints.length, 60);
  await registry.close();
  await server.stop();
});

test("the next server is asked when one is killed, and the one before when the other is", async () => {
  const { until, staleMs, told, registry } = await open([first, second]);
  await until(BOTH);
  await first.stop();
  await second.name(WEB.map((line) => line.replace("10.0.0.1", "10.0.0.17")));
  console.log(
    `measured the next server's answers were used ${Math.round(await until(BOTH.replace("10.0.0.1", "10.0.0.17")))} ms after the first was killed`,
  );
  await first.start();
  await second.stop();
  await until(BOTH);
  assert.equal(await staleMs(), 0);
  await second.name(WEB);
  assert.deepEqual(told.filter((line) => line !== "recovered").length <= 1, true, told.join("; "));
  await registry.close();
});

test("killed, all of them: what was known stays, says how old it is, and is right again soon after", async () => {
  const { until, staleMs, told, of, registry } = await open([first, second]);
  await until(BOTH);
  await Promise.all([first.stop(), second.stop()]);
  await wait(6_000);
  assert.equal(await of("web"), BOTH);
  assert.ok((await staleMs()) > 3_000, `${await staleMs()}`);
  assert.equal(told.length, 1);
  await Promise.all([first.name(WEB.map((line) => line.replace("10.0.0.1", "10.0.0.19"))), second.start()]);
  await second.stop();
  const took = await until(BOTH.replace("10.0.0.1", "10.0.0.19"));
  console.log(`measured all servers were killed: right again ${Math.round(took)} ms after one was back`);
  assert.equal(await staleMs(), 0);
  assert.deepEqual([told.length, told[1]], [2, "recovered"]);
  await Promise.all([first.name(WEB), second.name(WEB)]);
  await registry.close();
});

test("paused for 30 s: nothing leaves", async () => {
  const server = await Dnsmasq.start(WEB);
  const { until, of, staleMs, registry } = await open([server]);
  await until(BOTH);
  server.pause();
  for (let second = 0; second < 30; second++) {
    await wait(1_000);
    assert.equal(await of("web"), BOTH);
  }
  assert.ok((await staleMs()) > 25_000);
  server.resume();
  const resumed = performance.now();
  while ((await staleMs()) > 0) await wait(10);
  const took = performance.now() - resumed;
  console.log(`measured paused for 30 s: right again after ${Math.round(took)} ms`);
  assert.ok(took < 5_000);
  await registry.close();
  await server.stop();
});

test("our own clock jumps by an hour: nothing leaves", async () => {
  let jump = 0;
  const clock = {
    now: () => performance.now(),
    wallMs: () => Date.now() + jump,
    after(delayMs: number, fire: () => void) {
      const timer = setTimeout(fire, delayMs);
      return () => clearTimeout(timer);
    },
  };
  const { until, of, registry } = await open([first], "services=web", { clock });
  await until(BOTH);
  for (jump of [3_600_000, -3_600_000]) {
    await wait(1_500);
    assert.equal(await of("web"), BOTH);
  }
  await registry.close();
});

test("slow: 200 ms each way, all the time", async () => {
  const server = await Dnsmasq.start(WEB);
  const relay = await relayTo(server.port, 200);
  const { of, until, staleMs, told, registry } = await open([relay]);
  await until(BOTH);
  for (let second = 0; second < 5; second++) {
    await wait(1_000);
    assert.equal(await of("web"), BOTH);
  }
  await server.name(WEB.map((line) => line.replace("10.0.0.1", "10.0.0.23")));
  const took = await until(BOTH.replace("10.0.0.1", "10.0.0.23"));
  console.log(`measured slow, 200 ms each way: a change was seen after ${Math.round(took)} ms (TTL 1 s)`);
  assert.ok((await staleMs()) < 5_000);
  assert.ok(told.length <= 2, told.join("; "));
  await registry.close();
  relay.close();
  await server.stop();
});

test("a server that forges, cuts and talks nonsense does not get in between", async () => {
  const evil = (make: (query: Uint8Array) => Uint8Array[]) => harmful(make);
  const forged = (query: Uint8Array, more: object) =>
    answerTo(query, { answers: [["web.svc.test.", 33, 60, Uint8Array.of(0, 0, 0, 1, 0, 80, 1, 120, 0)]], ...more });
  const servers = await Promise.all([
    evil((query) => [
      forged(query, { id: ((query[0] << 8) | query[1]) ^ 1 }),
      forged(query, { question: Uint8Array.of(1, 120, 0, 0, 33, 0, 1) }),
    ]),
    evil(() => [Uint8Array.of(), Uint8Array.from({ length: 600 }, (_, i) => i & 0xff)]),
    evil((query) => [answerTo(query, { truncated: true })]), // and nobody there over TCP
    evil((query) => [answerTo(query, { rcode: 2 })]),
    evil(() => []),
  ]);
  for (const server of servers) {
    const { of, registry } = await open([server, first], "services=web", { timeoutMs: 500 });
    assert.equal(await of("web"), BOTH);
    await registry.close();
  }
  for (const server of servers) server.close();
});

test("answers over a line that resets TCP come when it is well again", async () => {
  const many = Array.from({ length: 60 }, (_, i) => [
    service("many", `a-rather-long-name-of-a-host-${i}`, 7000 + i),
    host(`a-rather-long-name-of-a-host-${i}`, `10.0.1.${i}`),
  ]);
  const server = await Dnsmasq.start(["local-ttl=1", ...many.flat()]);
  // None that a query of another test may go out by meanwhile.
  const udp = await relayTo(server.port, 0, await freePort());
  const line = await HurtLine.open(server.port, undefined, udp.port);
  const { registry, staleMs } = await open([line], "services=many");
  line.refusing = true;
  while ((await staleMs()) === 0) await wait(10);
  assert.equal((await registry.query(["many"])).endpoints.length, 60);
  line.refusing = false;
  const started = performance.now();
  while ((await staleMs()) > 0) await wait(10);
  const took = performance.now() - started;
  console.log(`measured TCP was refused: right again after ${Math.round(took)} ms`);
  assert.ok(took < 5_000);
  await registry.close();
  udp.close();
  await line.close();
  await server.stop();
});

/** Passes datagrams on, each way late. */
async function relayTo(target: number, delayMs: number, port = 0): Promise<{ port: number; close(): void }> {
  const socket = createSocket("udp4");
  socket.bind(port, "127.0.0.1");
  await once(socket, "listening");
  let closed = false;
  const later = (pass: () => void): void =>
    void setTimeout(() => {
      if (!closed) pass();
    }, delayMs);
  socket.on("message", (query, from) => {
    const onward = createSocket("udp4");
    onward.on("error", () => onward.close());
    onward.on("message", (answer) =>
      later(() => {
        socket.send(answer, from.port, from.address);
        onward.close();
      }),
    );
    later(() => onward.send(query, target, "127.0.0.1"));
  });
  const close = (): void => {
    closed = true;
    socket.close();
  };
  return { port: socket.address().port, close };
}

async function harmful(make: (query: Uint8Array) => Uint8Array[]): Promise<{ port: number; close(): void }> {
  const socket: Socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("message", (query, { port, address }) => {
    for (const bytes of make(query)) socket.send(bytes, port, address);
  });
  return { port: socket.address().port, close: () => void socket.close() };
}
