import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { Counter, CountResponseSchema, WatchResponseSchema } from "../../examples/counter/gen/counter/v1/counter.ts";
import { codecOf } from "../contract/codec.ts";
import type { Endpoint, Protocol } from "../core/endpoint.ts";
import { fieldOf } from "../core/fields.ts";
import { seededRandom } from "../core/random.ts";
import { listen } from "../net/listener.ts";
import { createUpstreamPool } from "../net/pool.ts";
import type { CallContext, Decision } from "../policy/call.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { responseHead } from "../wire/head.ts";
import { createCarrier } from "./carrier.ts";
import { createDirectClient } from "./direct.ts";
import { carryExchange, type Exchange } from "./exchange.ts";
import { startWireServer, type WireServer } from "./loopback.case.ts";
import type { Carrier } from "./types.ts";
import { websocketAccept } from "./upgrade.ts";

interface Proxy extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  readonly carrier: Carrier;
  readonly ends: { status: number; requestBytes: number; responseBytes: number; attempts: number }[];
}

const METHODS: MethodInfo[] = Counter.methods.map((method) => ({
  path: `/${Counter.typeName}/${method.name}`,
  service: "counter",
  idempotent: method.name === "Count",
  clientStreaming: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
  serverStreaming: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
}));

const ROUTE: Resource = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "all" },
  spec: { rules: [{ backendRefs: [{ name: "counter" }] }] },
};

/** A proxy made of carryExchange alone, in front of `servers`. */
async function startProxy(
  servers: readonly WireServer[],
  protocol: Protocol,
  resources: readonly Resource[] = [],
): Promise<Proxy> {
  const policy = createPolicyRuntime({ random: seededRandom(1) });
  policy.applyResources(1, [ROUTE, ...resources], METHODS);
  const changed = servers.map(({ port }, i): Endpoint => {
    const where = { host: "127.0.0.1", port, version: "", zone: "", weight: 1 };
    return { id: `counter-${i}`, service: "counter", ...where, protocol, health: "healthy", metadata: {} };
  });
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const pool = createUpstreamPool({});
  const carrier = createCarrier({ policy, pool });
  const ends: Proxy["ends"][number][] = [];
  const context: CallContext = {
    place: "gateway",
    service: "",
    asSent: null,
    peerAddress: "",
    peerIdentity: "",
    secure: false,
    deadline: Number.POSITIVE_INFINITY,
    callerAttempt: 0,
    requestId: "r",
  };
  const hooks = {
    responseFields: () => ["x-request-id", "r-1"],
    onEnd: ({ status, requestBytes, responseBytes }: Exchange, decision: Decision) =>
      void ends.push({ status, requestBytes, responseBytes, attempts: decision.attempts.length }),
  };
  const listener = await listen({
    handler: {
      onRequest: (stream, head, fin) => void carryExchange(carrier, stream, head, fin, context, null, hooks),
    },
  });
  return {
    port: listener.port,
    address: `127.0.0.1:${listener.port}`,
    carrier,
    ends,
    async [Symbol.asyncDispose]() {
      await listener.close();
      await pool.close(0);
    },
  };
}

async function http(
  port: number,
  method: string,
  path: string,
  body: Uint8Array | string | null = null,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: IncomingMessage["headers"]; body: string }> {
  const request = httpRequest({ port, host: "127.0.0.1", method, path, headers, agent: false });
  request.end(body ?? undefined);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}

for (const protocol of ["h2c", "http1"] as const) {
  test(`HTTP/1.1 requests pass to a ${protocol} upstream and back, bodies and heads`, async () => {
    await using server = await startWireServer((call) => {
      let body = "";
      call.onBody = (bytes) => {
        body += Buffer.from(bytes).toString();
      };
      call.onEnd = () => call.answer(201, `${call.head.method} ${call.head.path} ${body}`, ["x-up", "1"]);
    });
    await using proxy = await startProxy([server], protocol);
    const posted = await http(proxy.port, "POST", "/things?a=b", "hello", { "content-type": "text/plain" });
    assert.deepEqual([posted.status, posted.body, posted.headers["x-up"]], [201, "POST /things?a=b hello", "1"]);
    assert.equal(posted.headers["x-request-id"], "r-1");
    const got = await http(proxy.port, "GET", "/");
    assert.equal(got.body, "GET / ");
    assert.deepEqual(proxy.ends[0], { status: 201, requestBytes: 5, responseBytes: 22, attempts: 1 });
    assert.equal(proxy.carrier.inFlight, 0);
  });
}

test("gRPC passes from HTTP/2 to HTTP/2, unary and streams, with its trailers", async () => {
  await using server = await startWireServer((call) => {
    const unary = call.head.path.endsWith("/Count");
    call.onEnd = () => {
      call.sendHead();
      for (let count = 1n; count <= (unary ? 1n : 3n); count++) {
        call.sendMessage(codecOf(WatchResponseSchema).encode({ count }));
      }
      call.sendStatus(0, ["x-trail", "t"]);
    };
  });
  await using proxy = await startProxy([server], "h2c");
  await using direct = createDirectClient(Counter, proxy.address);
  let trail: string | undefined;
  const onTrailer = (trailers: { get(name: string): string | undefined }) => {
    trail = trailers.get("x-trail");
  };
  assert.equal((await direct.client.count({}, { onTrailer })).count, 1n);
  assert.equal(trail, "t");
  const seen: bigint[] = [];
  for await (const { count } of direct.client.watch({})) seen.push(count);
  assert.deepEqual(seen, [1n, 2n, 3n]);
});

test("no endpoint: problem+json to HTTP callers, a trailers-only status to gRPC callers", async () => {
  await using proxy = await startProxy([], "h2c");
  const answer = await http(proxy.port, "GET", "/x");
  assert.equal(answer.status, 503);
  assert.equal(answer.headers["content-type"], "application/problem+json");
  assert.equal(JSON.parse(answer.body).code, "unavailable");
  const head = await http(proxy.port, "HEAD", "/x");
  assert.deepEqual([head.status, head.body], [503, ""]);
  await using direct = createDirectClient(Counter, proxy.address);
  await assert.rejects(direct.client.count({}), { name: "WeftError", code: "unavailable" });
});

test("an answer of the proxy's own to a request with a body keeps the HTTP/1.1 connection", async () => {
  await using proxy = await startProxy([], "h2c");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  for (let i = 0; i < 3; i++) {
    const request = httpRequest({ port: proxy.port, host: "127.0.0.1", method: "POST", path: "/", agent });
    request.write("a body");
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(response.statusCode, 503);
    request.end(" that ends later");
    ports.add(request.socket?.localPort);
    response.resume();
    await once(response, "end");
  }
  agent.destroy();
  assert.equal(ports.size, 1);
});

test("an upstream that dies before it answers is retried on another, with the body", async () => {
  let deaths = 0;
  await using dying = await startWireServer((call) => {
    call.onEnd = () => {
      deaths++;
      call.stream.connection.close();
    };
  });
  await using living = await startWireServer((call) => {
    let body = "";
    call.onBody = (bytes) => {
      body += Buffer.from(bytes).toString();
    };
    call.onEnd = () => call.answer(200, body);
  });
  await using proxy = await startProxy([dying, living], "h2c");
  for (let i = 0; i < 12; i++) {
    const answer = await http(proxy.port, "PUT", "/x", "the whole body");
    assert.deepEqual([answer.status, answer.body], [200, "the whole body"]);
  }
  assert.ok(deaths > 0, "the dying one was tried");
  assert.ok(proxy.ends.some(({ attempts }) => attempts > 1));
});

test("an upstream that dies in the middle of its answer: gRPC callers are told by trailers, HTTP callers by a cut", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => {
      if (call.head.path.startsWith("/counter.v1")) {
        call.sendHead();
        call.sendMessage(codecOf(CountResponseSchema).encode({ count: 1n }));
      } else {
        call.stream.sendHead(responseHead(200, ["content-length", "100"]), null, false);
        call.stream.sendData(Buffer.from("half"), 0, 4, false);
      }
      setTimeout(() => call.stream.connection.close(), 20);
    };
  });
  await using proxy = await startProxy([server], "h2c");
  await using direct = createDirectClient(Counter, proxy.address);
  const stream = direct.client.watch({});
  assert.equal((await stream.next()).value?.count, 1n);
  await assert.rejects(stream.next(), { code: "unavailable" });
  await assert.rejects(http(proxy.port, "GET", "/x"), /aborted|ECONNRESET|socket hang up/);
});

test("a caller that goes away cancels its call at the upstream", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = await startWireServer((call) => {
    call.onCancelled = () => gone.resolve();
  });
  await using proxy = await startProxy([server], "h2c");
  const request = httpRequest({ port: proxy.port, host: "127.0.0.1", path: "/slow", agent: false });
  request.on("error", () => {});
  request.end();
  while (server.heads.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  request.socket?.resetAndDestroy(); // a half-closed connection could still be read
  await gone.promise;
  assert.equal(proxy.carrier.inFlight, 0);
});

test("a slow reader holds the upstream back, a slow upstream the caller; nothing is lost", async () => {
  const TOTAL = 32 << 20;
  const chunk = Buffer.alloc(64 << 10, 7);
  let sent = 0;
  let received = 0;
  let reading: (() => void) | null = null;
  await using server = await startWireServer((call) => {
    if (call.head.method === "GET") {
      const go = (): void => {
        while (sent < TOTAL) {
          sent += chunk.length;
          if (!call.stream.sendData(chunk, 0, chunk.length, sent === TOTAL)) return;
        }
      };
      call.onDrain = go;
      call.onEnd = () => {
        call.stream.sendHead(responseHead(200, []), null, false);
        go();
      };
    } else {
      call.credits = false;
      let owed = 0;
      call.onBody = (bytes) => {
        received += bytes.length;
        owed += bytes.length;
        if (reading !== null) call.stream.credit(bytes.length);
      };
      call.onEnd = () => call.answer(200, "done");
      call.readOn = () => {
        reading = () => {};
        call.stream.credit(owed);
      };
    }
  });
  await using proxy = await startProxy([server], "h2c");

  // down: nothing is read for a while
  const request = httpRequest({ port: proxy.port, host: "127.0.0.1", path: "/", agent: false });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  await standsStill(() => sent);
  assert.ok(sent < 16 << 20, `${sent} bytes were sent to a reader that took nothing`);
  let got = 0;
  for await (const part of response) got += (part as Buffer).length;
  assert.equal(got, TOTAL);

  // up: the server reads nothing for a while
  const upload = httpRequest({ port: proxy.port, host: "127.0.0.1", method: "POST", path: "/", agent: false });
  let written = 0;
  const pump = async (): Promise<void> => {
    while (written < TOTAL) {
      written += chunk.length;
      if (!upload.write(chunk)) await once(upload, "drain");
    }
    upload.end();
  };
  const pumping = pump();
  await standsStill(() => received);
  assert.ok(received < 4 << 20, `${received} bytes reached a server that credits nothing`);
  assert.ok(written < 16 << 20, `${written} bytes were taken for a server that credits nothing`);
  for (const call of server.open) call.readOn();
  const [answer] = (await once(upload, "response")) as [IncomingMessage];
  await pumping;
  assert.equal(answer.statusCode, 200);
  answer.resume();
  assert.equal(received, TOTAL);
});

/** Until it has begun, and nothing was added for 200 ms. */
async function standsStill(bytes: () => number): Promise<void> {
  for (let last = -1; last <= 0 || bytes() !== last; ) {
    last = bytes();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

test("an answer that is complete before the request tells the caller to stop", async () => {
  await using server = await startWireServer((call) => call.fail(8, "enough"));
  await using proxy = await startProxy([server], "h2c");
  await using direct = createDirectClient(Counter, proxy.address);
  async function* endless() {
    for (;;) yield { count: 1n };
  }
  await assert.rejects(direct.client.sum(endless()), { code: "resource_exhausted" });
  assert.equal(proxy.carrier.inFlight, 0);
});

for (const protocol of ["h2c", "http1"] as const) {
  test(`a WebSocket upgrade is carried through to a ${protocol} upstream, bytes both ways until both end`, async () => {
    const key = "dGhlIHNhbXBsZSBub25jZQ==";
    await using server = await startWireServer((call) => {
      const accept = websocketAccept(fieldOf(call.head.fields, "sec-websocket-key") ?? "");
      call.stream.sendHead(responseHead(101, ["sec-websocket-accept", accept]), null, false);
      call.onBody = (bytes) => {
        const echo = Buffer.from(Buffer.from(bytes).toString().toUpperCase());
        call.stream.sendData(echo, 0, echo.length, false);
      };
      call.onEnd = () => call.stream.sendData(new Uint8Array(0), 0, 0, true);
    });
    await using proxy = await startProxy([server], protocol);
    const socket = connect(proxy.port, "127.0.0.1");
    socket.write(
      `GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
    );
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    while (!text.includes("\r\n\r\n")) await once(socket, "data");
    assert.match(text, /^HTTP\/1\.1 101 /);
    assert.ok(text.toLowerCase().includes(`sec-websocket-accept: ${websocketAccept(key).toLowerCase()}`), text);
    text = "";
    socket.write("hello");
    while (text.length < 5) await once(socket, "data");
    assert.equal(text, "HELLO");
    socket.end();
    await once(socket, "close");
    while (proxy.carrier.inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
}
