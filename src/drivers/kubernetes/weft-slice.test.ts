import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "../../core/endpoint.ts";
import type { EndpointEntry } from "../../registry/endpoint-value.ts";
import { parseObject } from "./api-resource.ts";
import { readServiceSlice } from "./service-slice.ts";
import { decodeSlice, encodeSlice, sliceName } from "./weft-slice.ts";

function entry(part: Partial<Endpoint> = {}): EndpointEntry {
  const endpoint: Endpoint = {
    id: "orders-1",
    service: "orders",
    host: "10.0.0.7",
    port: 9_000,
    version: "v2",
    zone: "eu-1",
    weight: 3,
    protocol: "h2c",
    health: "healthy",
    metadata: { rack: "7" },
    identity: "spiffe://shop/orders",
    ...part,
  };
  return { endpoint, check: "healthy", owner: "o", plane: "p", ttlMs: 3_000 };
}

test("an entry comes back from its slice whole, and others read what is theirs of it", () => {
  const given = entry();
  const slice = encodeSlice(given, "shop");
  assert.deepEqual(decodeSlice(parseObject(slice), "shop"), given);
  assert.deepEqual(slice.metadata.labels, {
    "endpointslice.kubernetes.io/managed-by": "weftmesh.dev",
    "kubernetes.io/service-name": "orders",
    "weftmesh.dev/system": "shop",
  });
  const conditions = { ready: true, serving: true, terminating: false };
  assert.deepEqual(slice.endpoints, [{ addresses: ["10.0.0.7"], conditions, zone: "eu-1" }]);
  assert.deepEqual(slice.ports, [{ name: "", port: 9_000, protocol: "TCP", appProtocol: "kubernetes.io/h2c" }]);
});

test("health is told as Kubernetes' conditions", () => {
  const told = (health: Endpoint["health"], check: Endpoint["health"] = "healthy") =>
    encodeSlice({ ...entry({ health }), check }, "shop").endpoints[0]?.conditions;
  assert.deepEqual(told("draining"), { ready: false, serving: true, terminating: true });
  assert.deepEqual(told("unhealthy"), { ready: false, serving: false, terminating: false });
  assert.deepEqual(told("healthy", "unhealthy"), { ready: false, serving: false, terminating: false });
});

test("addresses that Kubernetes takes from nobody are left to the annotation", () => {
  for (const host of ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "::1", "fe80::1%eth0", "orders.example"]) {
    const slice = encodeSlice(entry({ host }), "shop");
    assert.deepEqual(slice.endpoints, [], host);
    assert.equal(decodeSlice(parseObject(slice), "shop").endpoint.host, host);
  }
  assert.equal(encodeSlice(entry({ host: "fd00::1" }), "shop").addressType, "IPv6");
  assert.equal(encodeSlice(entry({ host: "fd00::1" }), "shop").endpoints.length, 1);
  const kept = encodeSlice(entry({ host: "fd00::1" }), "shop", "IPv4");
  assert.deepEqual([kept.addressType, kept.endpoints], ["IPv4", []]);
});

test("each id has a name of its own, which Kubernetes takes", () => {
  const ids = ["orders-1", "Orders-1", "orders/1", "[fd00::1]:80", "x".repeat(128), "x".repeat(127), "_"];
  const names = ids.map((id) => sliceName("s".repeat(63), id));
  assert.equal(new Set(names).size, ids.length);
  for (const name of names) assert.match(name, /^[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])$/);
});

function service(part: Record<string, unknown>, labels: Record<string, string> = {}) {
  return readServiceSlice(
    parseObject({
      metadata: { name: "orders-x7", labels: { "kubernetes.io/service-name": "orders", ...labels } },
      addressType: "IPv4",
      endpoints: [{ addresses: ["10.0.0.7"], conditions: {} }],
      ports: [{ name: "", port: 80, protocol: "TCP" }],
      ...part,
    }),
  );
}

test("a Service's endpoints: conditions, zone, pod and node", () => {
  const conditions = [
    [{}, "healthy"],
    [{ ready: true }, "healthy"],
    [{ ready: false }, "unhealthy"],
    [{ ready: false, serving: true, terminating: true }, "draining"],
    [{ ready: false, serving: false, terminating: true }, "unhealthy"],
    [{ ready: null, serving: null, terminating: null }, "healthy"],
  ] as const;
  const endpoints = conditions.map(([given], i) => ({ addresses: [`10.0.0.${i}`], conditions: given, zone: "eu 1" }));
  assert.deepEqual(
    service({ endpoints }).map(({ health }) => health),
    conditions.map(([, health]) => health),
  );
  assert.equal(service({ endpoints })[0].zone, "", "a zone that weft cannot have");
  const [found] = service({
    endpoints: [
      { addresses: ["10.0.0.7"], zone: "eu-1", nodeName: "n1", targetRef: { kind: "Pod", name: "orders-abc" } },
    ],
  });
  assert.deepEqual(found, {
    id: "orders/10.0.0.7:80",
    service: "orders",
    host: "10.0.0.7",
    port: 80,
    version: "",
    zone: "eu-1",
    weight: 1,
    protocol: "http1",
    health: "healthy",
    metadata: { "kubernetes.io/pod": "orders-abc", "kubernetes.io/node": "n1" },
  });
});

test("a Service's protocol: by label, appProtocol, the port's name, in that order", () => {
  const spoken = (port: Record<string, unknown>, labels?: Record<string, string>) =>
    service({ ports: [{ port: 80, ...port }] }, labels)[0]?.protocol;
  assert.equal(spoken({}), "http1");
  assert.equal(spoken({ name: "grpc-public" }), "h2c");
  assert.equal(spoken({ name: "metrics" }), "http1");
  assert.equal(spoken({ name: "grpc", appProtocol: "http" }), "http1");
  assert.equal(spoken({ appProtocol: "kubernetes.io/h2c" }), "h2c");
  assert.equal(spoken({ appProtocol: "kubernetes.io/wss" }), "h2");
  assert.equal(spoken({ appProtocol: "mysql" }), "tcp");
  assert.equal(spoken({ protocol: "UDP", name: "dns" }), "udp");
  assert.equal(spoken({ protocol: "SCTP" }), undefined);
  assert.equal(spoken({ port: null }), undefined);
  assert.equal(spoken({ name: "web" }, { "weftmesh.dev/protocol": "h2c" }), "h2c");
});

test("of several ports one is the service's: the one that is named, else the one that says most", () => {
  const ports = [
    { name: "metrics", port: 9_100 },
    { name: "http", port: 8_080 },
    { name: "grpc", port: 9_090 },
  ];
  assert.equal(service({ ports })[0].port, 9_090);
  assert.equal(service({ ports: ports.slice(0, 2) })[0].port, 8_080);
  assert.equal(service({ ports }, { "weftmesh.dev/port": "metrics" })[0].port, 9_100);
  assert.equal(service({ ports }, { "weftmesh.dev/port": "8080" })[0].port, 8_080);
  assert.deepEqual(service({ ports }, { "weftmesh.dev/port": "none" }), []);
});

test("labels make a Service the version of another service", () => {
  const [found] = service({}, { "weftmesh.dev/service": "products", "weftmesh.dev/version": "v2" });
  assert.deepEqual([found.id, found.service, found.version], ["products/10.0.0.7:80", "products", "v2"]);
});

test("slices of no service, of names, or without ports have no endpoints; broken ones are refused", () => {
  assert.deepEqual(service({ addressType: "FQDN" }), []);
  assert.deepEqual(service({ ports: null, endpoints: null }), []);
  assert.deepEqual(readServiceSlice(parseObject({ metadata: { name: "x" }, addressType: "IPv4" })), []);
  assert.throws(() => service({ endpoints: [{ addresses: [] }] }), /without an address/);
  assert.throws(() => service({ endpoints: [{ addresses: ["a b"] }] }), /id must be/);
  assert.throws(() => service({}, { "weftmesh.dev/service": "Not-A-Name" }), /service/);
});
