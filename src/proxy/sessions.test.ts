import assert from "node:assert/strict";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import type { Endpoint } from "../core/endpoint.ts";
import { seededRandom } from "../core/random.ts";
import { SERVER_CERT, SERVER_KEY } from "../net/certificates.case.ts";
import { authorization, rateLimit, route, tcpRoute, tlsRoute, traffic, udpRoute } from "../policy/builders.ts";
import { DecisionJournal } from "../policy/decision/journal.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { encodeProxyHeader } from "../wire/proxy-protocol/proxy-header-writer.ts";
import { type Gateway, type GatewayOptions, startGateway } from "./gateway.ts";

const cleanups: (() => unknown)[] = [];
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function serve(onSocket: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return (server.address() as { port: number }).port;
}

function at(service: string, port: number, parts: Partial<Endpoint> = {}): Endpoint {
  const rest = { version: "", zone: "", weight: 1, protocol: "tcp", health: "healthy", metadata: {} } as const;
  return { id: `${service}-${port}`, service, host: "127.0.0.1", port, ...rest, ...parts };
}

async function gateway(
  resources: readonly Resource[],
  endpoints: readonly Endpoint[],
  options: Partial<GatewayOptions> = {},
) {
  const journal = new DecisionJournal();
  const policy = createPolicyRuntime({ journal, record: "all" });
  policy.applyResources(1, resources, []);
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed: endpoints, removed: [] });
  const problems: string[] = [];
  const running: Gateway = await startGateway({
    listen: { port: 0 },
    admin: null,
    policy,
    accessLog: "off",
    onProblem: (error) => problems.push(error.message),
    ...options,
  });
  cleanups.push(() => running.stop(0));
  const port = (name: string): number => running.listeners.find((listener) => listener.name === name)?.port ?? 0;
  return { running, policy, journal, port, problems };
}

/** All that comes until the end, after `send` was sent. */
async function exchange(port: number, send: string | Buffer, localAddress = "127.0.0.1"): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true });
  socket.end(send);
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  await Promise.race([once(socket, "end"), once(socket, "close"), once(socket, "error")]).catch(() => {});
  socket.destroy();
  return text;
}

/** What follows from what has been seen already, if it does at all, is there after a few turns of the loop. */
async function until(done: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !done(); tries++) await new Promise((resolve) => setTimeout(resolve, 10));
}

const CERTIFICATE = { cert: SERVER_CERT, key: SERVER_KEY };
const DB = [{ name: "db", protocol: "TCP", port: 0 }] as const;

test("bytes go both ways, each side's end by itself, and what was carried is remembered", async () => {
  const port = await serve((socket) => {
    let text = "";
    socket.on("data", (chunk) => (text += chunk));
    socket.on("end", () => socket.end(`seen ${text}`));
  });
  const world = await gateway(tcpRoute("db").to("postgres").resources(), [at("postgres", port)], { listeners: DB });
  assert.equal(await exchange(world.port("db"), "select 1"), "seen select 1");
  await until(() => world.journal.size > 0);
  const [{ request, decision }] = world.journal.newest(1);
  assert.equal(request, `TCP db:${world.port("db")}`);
  assert.deepEqual(decision.carried, { sent: 8, received: 13 });
  assert.equal(decision.outcome.reason, "");
});

test("a server that speaks first is heard", async () => {
  const port = await serve((socket) => socket.end("220 hello"));
  const world = await gateway(tcpRoute("db").to("mail").resources(), [at("mail", port)], { listeners: DB });
  assert.equal(await exchange(world.port("db"), ""), "220 hello");
});

test("where nobody listens another endpoint is tried, and a refused session is closed", async () => {
  const port = await serve((socket) => socket.pipe(socket));
  const gone = await serve(() => {});
  const endpoints = [at("postgres", port), at("postgres", 1)];
  const resources = [
    ...tcpRoute("db").to("postgres").resources(),
    ...traffic("postgres")
      .retry(3, { backoff: { base: "1ms" } })
      .resources(),
    ...tcpRoute("guarded").to("private").resources(),
    ...authorization("private")
      .allow({ peers: ["spiffe://shop/orders"] })
      .resources(),
    ...tcpRoute("limited").to("rare").resources(),
    ...rateLimit("rare").allow(1, "1m").resources(),
  ];
  const listeners = ["db", "guarded", "limited", "unrouted"].map(
    (name) => ({ name, protocol: "TCP", port: 0 }) as const,
  );
  const world = await gateway(resources, [...endpoints, at("private", gone), at("rare", port)], { listeners });
  for (let i = 0; i < 8; i++) assert.equal(await exchange(world.port("db"), "ping"), "ping");
  assert.equal(await exchange(world.port("guarded"), "x"), "");
  assert.equal(await exchange(world.port("unrouted"), "x"), "");
  assert.equal(await exchange(world.port("limited"), "a"), "a");
  assert.equal(await exchange(world.port("limited"), "b"), "");
  const reasons = world.journal.newest(4, true).map(({ decision }) => decision.outcome.reason);
  assert.deepEqual(reasons.sort(), ["FORBIDDEN", "NO_ROUTE", "RATE_LIMITED"]);
  // Routes that are published later hold from then on.
  world.policy.applyResources(2, tcpRoute("unrouted").to("rare").resources(), []);
  assert.equal(await exchange(world.port("unrouted"), "now"), "now");
});

test("a slow reader is waited for, and little is kept for it", async () => {
  const port = await serve((socket) => {
    const chunk = Buffer.alloc(1 << 20, 7);
    let left = 32;
    const more = (): void => {
      while (left-- > 0) if (!socket.write(chunk)) return void socket.once("drain", more);
      socket.end();
    };
    more();
  });
  const world = await gateway(tcpRoute("db").to("postgres").resources(), [at("postgres", port)], { listeners: DB });
  const socket = connect({ port: world.port("db"), host: "127.0.0.1" });
  let bytes = 0;
  let pauses = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (pauses++ % 200 !== 0) return;
    socket.pause();
    setTimeout(() => socket.resume(), 2);
  });
  await once(socket, "end");
  assert.equal(bytes, 32 << 20);
});

test("TLS is passed through to where the server name is served", async () => {
  const names = ["a.example", "b.example"];
  const endpoints: Endpoint[] = [];
  for (const name of names) {
    const server = createTlsServer({ ...CERTIFICATE, ALPNProtocols: ["h2"] }, (socket) => socket.end(name));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => server.close());
    endpoints.push(at(name[0], (server.address() as { port: number }).port));
  }
  const resources = [...tlsRoute("a.example").to("a").resources(), ...tlsRoute("*.example").to("b").resources()];
  const listeners = [{ name: "tls", protocol: "TLS", port: 0 }] as const;
  const world = await gateway(resources, endpoints, { listeners });
  for (const name of names) {
    const socket = connectTls({
      port: world.port("tls"),
      host: "127.0.0.1",
      servername: name,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
    });
    let text = "";
    socket.on("data", (chunk) => (text += chunk));
    await once(socket, "end");
    assert.equal(text, name);
    assert.equal(socket.alpnProtocol, "h2");
  }
  assert.equal(await exchange(world.port("tls"), "GET / HTTP/1.1\r\n\r\n"), "");
  assert.match(world.problems[0], /no TLS ClientHello: it does not begin with a handshake/);
});

test("datagrams go to one endpoint by address, and answers come back", async () => {
  const endpoints: Endpoint[] = [];
  for (const letter of ["a", "b"]) {
    const socket: UdpSocket = createSocket("udp4");
    socket.on("message", (bytes, from) => socket.send(`${letter}:${bytes}`, from.port, from.address));
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    cleanups.push(() => socket.close());
    endpoints.push(at("echo", socket.address().port, { protocol: "udp" }));
  }
  const listeners = [{ name: "echo", protocol: "UDP", port: 0 }] as const;
  const world = await gateway(udpRoute("echo").to("echo").resources(), endpoints, { listeners });
  const seen = new Set<string>();
  for (let i = 0; i < 12; i++) {
    const socket = createSocket("udp4");
    const ask = async (text: string): Promise<string> => {
      socket.send(text, world.port("echo"), "127.0.0.1");
      return String((await once(socket, "message"))[0]);
    };
    const first = await ask("1");
    assert.equal((await ask("2"))[0], first[0]);
    seen.add(first[0]);
    socket.close();
  }
  assert.deepEqual([...seen].sort(), ["a", "b"]);
});

test("what the PROXY protocol says holds for sessions and for HTTP, where it is believed", async () => {
  const port = await serve((socket) => socket.pipe(socket));
  const web = await serve((socket) => {
    socket.on("data", (chunk) => {
      const from = /x-forwarded-for: (.*)\r/i.exec(String(chunk))?.[1] ?? "nobody";
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${from.length}\r\n\r\n${from}`);
    });
  });
  const resources = [
    ...tcpRoute("db").to("postgres").resources(),
    ...route("/").to("web").resources(),
    ...authorization("postgres")
      .allow({ networks: ["192.0.2.0/24"] })
      .resources(),
  ];
  const endpoints = [at("postgres", port), at("web", web, { protocol: "http1" })];
  const world = await gateway(resources, endpoints, { listeners: DB, proxyProtocol: ["127.0.0.1"] });
  const request = "GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";
  for (const version of ["v1", "v2"] as const) {
    const header = encodeProxyHeader(version, "192.0.2.7:4711", "198.51.100.1:443");
    assert.equal(await exchange(world.port("db"), Buffer.concat([header, Buffer.from("ping")])), "ping");
    assert.match(
      await exchange(world.running.port, Buffer.concat([header, Buffer.from(request)])),
      /\r\n192\.0\.2\.7$/,
    );
  }
  const other = encodeProxyHeader("v2", "198.51.100.9:4711", "198.51.100.1:443");
  assert.equal(await exchange(world.port("db"), Buffer.concat([other, Buffer.from("ping")])), "");
  assert.equal(await exchange(world.port("db"), "ping"), "");
  assert.equal(await exchange(world.running.port, request), "");
  // From elsewhere there is none.
  assert.match(await exchange(world.running.port, request, "127.0.0.2"), /\r\n127\.0\.0\.2$/);
});

test("the PROXY protocol comes before TLS, too", async () => {
  const web = await serve((socket) => {
    socket.on("data", (chunk) => {
      const from = /x-forwarded-for: (.*)\r/i.exec(String(chunk))?.[1] ?? "nobody";
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${from.length}\r\n\r\n${from}`);
    });
  });
  const world = await gateway(route("/").to("web").resources(), [at("web", web, { protocol: "http1" })], {
    listen: { port: 0, tls: CERTIFICATE },
    proxyProtocol: ["127.0.0.1"],
  });
  const ask = async (header: Buffer, localAddress: string): Promise<string> => {
    const raw = connect({ port: world.running.port, host: "127.0.0.1", localAddress });
    await once(raw, "connect");
    raw.write(header);
    const socket = connectTls({
      socket: raw,
      servername: "shop",
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
    });
    socket.write("GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
    let text = "";
    socket.on("data", (chunk) => (text += chunk));
    await once(socket, "end");
    return text;
  };
  assert.match(await ask(encodeProxyHeader("v2", "192.0.2.7:1", "198.51.100.1:443"), "127.0.0.1"), /\r\n192\.0\.2\.7$/);
  assert.match(await ask(Buffer.alloc(0), "127.0.0.3"), /\r\n127\.0\.0\.3$/);
});

test("endpoints are told who connected where policy says so", async () => {
  const port = await serve((socket) => {
    let bytes = Buffer.alloc(0);
    socket.on("data", (chunk) => (bytes = Buffer.concat([bytes, chunk])));
    socket.on("end", () => socket.end(bytes.toString("latin1")));
  });
  for (const version of ["v1", "v2"] as const) {
    const resources = [
      ...tcpRoute("db").to("postgres").resources(),
      ...traffic("postgres").proxyProtocol(version).resources(),
    ];
    const world = await gateway(resources, [at("postgres", port)], { listeners: DB });
    const text = await exchange(world.port("db"), "ping");
    if (version === "v1") assert.match(text, /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nping$/);
    else assert.ok(text.startsWith("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01") && text.endsWith("ping"));
  }
});

test("sessions end by themselves while it drains, and are cut after that", async () => {
  const port = await serve((socket) => socket.pipe(socket));
  const world = await gateway(tcpRoute("db").to("postgres").resources(), [at("postgres", port)], { listeners: DB });
  const stay = connect({ port: world.port("db"), host: "127.0.0.1" });
  stay.on("error", () => {});
  stay.write("x");
  await once(stay, "data");
  const started = performance.now();
  await Promise.all([world.running.stop(150), new Promise((resolve) => stay.once("close", resolve))]);
  assert.ok(performance.now() - started >= 140);
});

test("whatever the sizes, the pauses and who ends or breaks off first, what arrives is what was sent, and nothing stays behind", async () => {
  const random = seededRandom(7);
  const draw = (most: number): number => Math.floor(random.next() * most);
  const upstreams: Socket[] = [];
  const port = await serve((socket) => {
    upstreams.push(socket);
    socket.on("close", () => upstreams.splice(upstreams.indexOf(socket), 1));
    const slow = draw(2) === 0;
    socket.on("data", (chunk: Buffer) => {
      const more = socket.write(chunk);
      if (more && !slow) return;
      socket.pause();
      setTimeout(() => socket.resume(), draw(5));
    });
    socket.on("end", () => socket.end());
  });
  const world = await gateway(tcpRoute("db").to("echo").resources(), [at("echo", port)], { listeners: DB });
  const run = async (): Promise<void> => {
    const bytes = Buffer.alloc(1 + draw(700_000));
    for (let i = 0; i < bytes.length; i += 997) bytes[i] = draw(256);
    const socket = connect({ port: world.port("db"), host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => {});
    const breaksOff = draw(4) === 0;
    const seen: Buffer[] = [];
    let received = 0;
    const stop = breaksOff ? draw(bytes.length) : -1;
    const over = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("data", (chunk: Buffer) => {
      seen.push(chunk);
      received += chunk.length;
      if (breaksOff && received >= stop) return void socket.resetAndDestroy();
      if (draw(6) > 0) return;
      socket.pause();
      setTimeout(() => socket.resume(), draw(4));
    });
    socket.once("end", () => socket.destroy());
    for (let from = 0; from < bytes.length && !socket.destroyed; ) {
      const to = from + 1 + draw(120_000);
      if (!socket.write(bytes.subarray(from, to))) await Promise.race([once(socket, "drain"), over]);
      from = to;
    }
    if (!socket.destroyed) socket.end();
    await over;
    if (!breaksOff) assert.ok(Buffer.concat(seen).equals(bytes));
  };
  await Promise.all(Array.from({ length: 40 }, run));
  const gauge = (name: string): number => {
    const [child] =
      world.running.metrics
        .collect()
        .find((family) => family.name === name)
        ?.children.values() ?? [];
    return (child?.recorder as { value: number } | undefined)?.value ?? -1;
  };
  await until(() => gauge("weft_sessions") === 0 && upstreams.length === 0);
  assert.equal(gauge("weft_sessions"), 0);
  assert.equal(gauge("weft_calls_in_flight"), 0);
  assert.equal(upstreams.length, 0);
});

test("a client that goes while it is connected to an endpoint leaves nothing", async () => {
  const world = await gateway(
    [
      ...tcpRoute("db").to("far").resources(),
      ...traffic("far")
        .retry(2, { backoff: { base: "30ms" } })
        .resources(),
    ],
    [at("far", 1), at("far", 2)],
    { listeners: DB },
  );
  for (let i = 0; i < 5; i++) {
    const socket = connect({ port: world.port("db"), host: "127.0.0.1" });
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.destroy();
  }
  await until(() => world.journal.size >= 5);
  assert.equal(world.journal.size, 5);
});
