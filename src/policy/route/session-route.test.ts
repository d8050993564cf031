import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "../../core/endpoint.ts";
import { checkSystem } from "../check/check-system.ts";
import { explainDecision } from "../decision/explain.ts";
import { DecisionJournal } from "../decision/journal.ts";
import { endpoint, http, TestCall, world } from "../machine/call.case.ts";
import { rateLimit } from "../resource/rate-limit-builder.ts";
import { traffic } from "../resource/traffic-builder.ts";
import { inspectResources, parseResources } from "../resource/validate.ts";
import { authorization } from "../security/authorization-builder.ts";
import { recordedSession, SessionRequest } from "./session-request.ts";
import { tcpRoute, tlsRoute, udpRoute } from "./session-route-builder.ts";

const ORDERS = "spiffe://shop/orders";

function at(ids: readonly string[]): Endpoint[] {
  return ids.map((id) => endpoint(id, { protocol: "tcp", service: id.split("-")[0] }));
}

function db(): SessionRequest {
  return new SessionRequest("TCP", "db", 5432);
}

test("a connection goes by the listener that it came to", () => {
  const resources = [
    ...tcpRoute("db").to("postgres").resources(),
    ...tcpRoute(6379).to("redis").resources(),
    ...udpRoute("db").to("dns").resources(),
  ];
  const runtime = world({ resources, endpoints: at(["postgres-1", "redis-1", "dns-1"]) });
  assert.deepEqual(new TestCall(runtime).begin(db()).endpoints, ["postgres-1"]);
  assert.deepEqual(new TestCall(runtime).begin(new SessionRequest("TCP", "cache", 6379)).endpoints, ["redis-1"]);
  assert.deepEqual(new TestCall(runtime).begin(new SessionRequest("UDP", "db", 5432)).endpoints, ["dns-1"]);
  const lost = new TestCall(runtime).begin(new SessionRequest("TCP", "mail", 25));
  assert.equal(lost.reason, "NO_ROUTE");
  assert.match(String(lost.call.response?.error), /no TCPRoute is for sessions at listener mail \(port 25\)/);
});

test("a TLS connection goes by the server name: exact before wildcard before any", () => {
  const resources = [
    ...tlsRoute().to("any").resources(),
    ...tlsRoute("*.shop.example").to("wild").resources(),
    ...tlsRoute("*.eu.shop.example").to("eu").resources(),
    ...tlsRoute("pay.shop.example").to("pay").at("tls").resources(),
  ];
  const runtime = world({ resources, endpoints: at(["any-1", "wild-1", "eu-1", "pay-1"]) });
  const where = (name: string, listener = "tls"): string =>
    new TestCall(runtime).begin(new SessionRequest("TLS", listener, 443, name)).endpoints[0];
  assert.equal(where("pay.shop.example"), "pay-1");
  assert.equal(where("pay.shop.example", "other"), "wild-1");
  assert.equal(where("a.b.shop.example"), "wild-1");
  assert.equal(where("a.eu.shop.example"), "eu-1");
  assert.equal(where("shop.example"), "any-1");
  assert.equal(where(""), "any-1");
});

test("an HTTP request cannot pass for a session", () => {
  const runtime = world({ resources: tcpRoute("db").to("postgres").resources(), endpoints: at(["postgres-1"]) });
  const forged = { ...http("TCP", "db:5432"), scheme: "tcp" };
  assert.equal(new TestCall(runtime).begin(forged).reason, "NO_ROUTE");
});

test("a refused connection is tried at another endpoint, and the decision tells what was carried", () => {
  const runtime = world({
    resources: tcpRoute("db").to("postgres").resources(),
    endpoints: at(["postgres-1", "postgres-2"]),
  });
  const call = new TestCall(runtime).begin(db(), {}, true);
  call.fail(1).advance(300);
  assert.equal(new Set(call.endpoints).size, 2);
  call.call.connected(2, call.now);
  call.head(2, 200, [], false);
  assert.equal(call.timers.size, 0);
  call.call.carried(1_200, 34_000_000, call.now + 5_000);
  call.now += 5_000;
  call.call.sessionEnd(call.now);
  call.drain();
  assert.equal(call.call.ended, true);
  assert.deepEqual(call.call.decision.carried, { sent: 1_200, received: 34_000_000 });
  const text = explainDecision(call.call.decision, { request: "TCP db:5432" });
  assert.match(text, /^TCP db:5432 {2}-> {2}200 after 5/);
  assert.match(text, /TCP db -> postgres/);
  assert.match(text, /carried +1.2 kB up, 34 MB down/);
});

test("a journal remembers sessions with their bytes", () => {
  const runtime = world({ resources: tcpRoute("db").to("postgres").resources(), endpoints: at(["postgres-1"]) });
  const call = new TestCall(runtime).begin(db(), {}, true).head(1, 200, [], false);
  call.call.carried(5, 7, 1);
  call.call.sessionEnd(2);
  call.drain();
  const journal = new DecisionJournal();
  (call.call as unknown as { remember(journal: DecisionJournal): void }).remember(journal);
  const [found] = journal.newest(1);
  assert.equal(found.request, "TCP db:5432");
  assert.deepEqual(found.decision.carried, { sent: 5, received: 7 });
});

test("a session that is silent for too long ends", () => {
  const resources = [
    ...tcpRoute("db").to("postgres").resources(),
    ...traffic("postgres").idleTimeout("10s").resources(),
  ];
  const call = new TestCall(world({ resources, endpoints: at(["postgres-1"]) })).begin(db(), {}, true);
  call.head(1, 200, [], false);
  call.advance(9_000);
  call.call.carried(1, 0, call.now);
  call.advance(9_000);
  assert.equal(call.call.ended, false);
  call.advance(1_100);
  assert.equal(call.reason, "IDLE_TIMEOUT");
  // Of datagrams silence is the end.
  const datagrams = [
    ...udpRoute("db").to("postgres").resources(),
    ...traffic("postgres").idleTimeout("10s").resources(),
  ];
  const udp = new TestCall(world({ resources: datagrams, endpoints: at(["postgres-1"]) }));
  udp
    .begin(new SessionRequest("UDP", "db", 53), {}, true)
    .head(1, 200, [], false)
    .advance(10_000);
  assert.equal(udp.call.ended, true);
  assert.equal(udp.reason, "");
});

test("new sessions are limited, and so are those at once", () => {
  const resources = [
    ...tcpRoute("db").to("postgres").resources(),
    ...rateLimit("postgres").allow(2, "1m").resources(),
    ...tcpRoute("cache").to("redis").resources(),
    ...traffic("redis").limits({ maxInFlight: 1 }).resources(),
  ];
  const runtime = world({ resources, endpoints: at(["postgres-1", "redis-1"]) });
  const reasons = [1, 2, 3].map(() => new TestCall(runtime).begin(db(), {}, true).reason);
  assert.deepEqual(reasons, ["", "", "RATE_LIMITED"]);
  const cache = (): TestCall => new TestCall(runtime).begin(new SessionRequest("TCP", "cache", 1), {}, true);
  const first = cache();
  first.head(1, 200, [], false);
  assert.notEqual(cache().reason, "");
  first.call.sessionEnd(1);
  first.drain();
  assert.equal(cache().reason, "");
});

test("peers and networks authorize sessions; what looks at HTTP opens nothing and closes what it may", () => {
  const guarded = (resources: readonly unknown[]) =>
    world({
      resources: parseResources([...tcpRoute("db").to("postgres").resources(), ...resources]).resources,
      endpoints: at(["postgres-1"]),
    });
  const reason = (resources: readonly unknown[], parts: object): string =>
    new TestCall(guarded(resources)).begin(db(), parts, true).reason;
  const orders = authorization("postgres")
    .allow({ peers: [ORDERS] })
    .resources();
  assert.equal(reason(orders, { peerIdentity: ORDERS }), "");
  assert.equal(reason(orders, { peerIdentity: "spiffe://shop/cart" }), "FORBIDDEN");
  const near = authorization("postgres")
    .allow({ networks: ["10.1.0.0/16"] })
    .resources();
  assert.equal(reason(near, {}), "");
  assert.equal(reason(near, { peerAddress: "10.2.0.1:1" }), "FORBIDDEN");
  assert.equal(
    reason(
      authorization("postgres")
        .allow({ paths: ["/*"] })
        .resources(),
      {},
    ),
    "FORBIDDEN",
  );
  assert.equal(
    reason(
      authorization("postgres")
        .allow({ methods: ["TCP"] })
        .resources(),
      {},
    ),
    "FORBIDDEN",
  );
  const denied = authorization("postgres")
    .allow({})
    .deny({ paths: ["/admin/*"] })
    .resources();
  assert.equal(reason(denied, {}), "FORBIDDEN");
});

test("sessions to a service are split where its route says so, and go to the service without one", () => {
  const endpoints = [endpoint("postgres-1", { version: "v1" }), endpoint("postgres-2", { version: "v2" })];
  const resources = tcpRoute().of("postgres").to("postgres@v2").resources();
  const begin = (place: "sidecar" | "server", list: readonly never[] | typeof resources): string[] =>
    new TestCall(world({ resources: list, endpoints })).begin(
      new SessionRequest("TCP", "postgres", 5432),
      { place, service: "postgres" },
      true,
    ).endpoints;
  for (let i = 0; i < 5; i++) assert.deepEqual(begin("sidecar", resources), ["postgres-2"]);
  assert.equal(begin("sidecar", []).length, 1);
});

test("a recording's session is a session again", () => {
  const sent = new SessionRequest("TLS", "tls", 443, "shop.example");
  const { method, scheme, authority, path, protocol, fields } = sent;
  assert.deepEqual(recordedSession({ method, scheme, authority, path, protocol, fields }), sent);
  assert.equal(recordedSession(http("GET", "/")), null);
});

test("shapes, references and routes that never match are told", () => {
  assert.throws(() => parseResources([{ ...tcpRoute("db").to({}).resources()[0] }]), /backendRefs/);
  const tls = { ...tlsRoute("a.example").of("web").to("web").resources()[0] };
  assert.throws(() => parseResources([tls]), /for sessions to a service write a TCPRoute/);
  const { warnings } = inspectResources(tcpRoute("db").to("postgrs").resources(), { services: ["postgres"] });
  assert.match(warnings[0].message, /no service postgrs is declared.*postgres/);
  const shadowed = [
    ...tcpRoute().to("postgres").named("all").resources(),
    ...tcpRoute("db").to("postgres").resources(),
    ...tlsRoute("a.example").to("web").resources(),
    ...tlsRoute("b.example").to("web").resources(),
  ];
  const findings = checkSystem(shadowed).filter(({ id }) => id === "route-never-matches");
  assert.deepEqual(
    findings.map(({ message }) => message),
    ["TCPRoute db never matches: every such session goes to TCPRoute all first"],
  );
});

test("routes to listeners that are not there are told, and what looks at HTTP", () => {
  const listeners = [{ name: "db", protocol: "TCP", port: 5432 } as const];
  const documents = [
    ...tcpRoute("bd").to("postgres").resources(),
    ...tcpRoute(5432).to("postgres").named("by-port").resources(),
    ...udpRoute().to("dns").resources(),
    ...authorization("postgres")
      .allow({ paths: ["/*"] })
      .resources(),
    ...traffic({ kind: "UDPRoute", name: "udproute" }).proxyProtocol("v2").resources(),
  ];
  const told = checkSystem(documents, { listeners }).map(({ message, suggestion }) =>
    `${message} ${suggestion}`.trim(),
  );
  assert.deepEqual(told.sort(), [
    "has no effect on UDPRoute udproute: it is for sessions over TCP",
    "sessions to postgres have no paths: no session to it is allowed by this rule go by peers or networks",
    'the gateway has no listener bd for TCP; it has db: nothing comes this way did you mean "db"?',
    "the gateway has no listener for UDP; it has none: nothing comes this way",
  ]);
});
