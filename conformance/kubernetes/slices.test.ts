import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { readResourceDocuments } from "../../src/policy/resource/read-resource-documents.ts";
import { parseResources } from "../../src/policy/resource/validate.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { HurtLine } from "../hurt-line.ts";
import { timeUntil, wait } from "../registry-plane.ts";
import { KubernetesServer } from "./server.ts";

/** What stands in EndpointSlices and Leases: weft's own, others', and those of control planes that die. */
const SLICES = "/apis/discovery.k8s.io/v1/namespaces/slices/endpointslices";
const LEASES = "/apis/coordination.k8s.io/v1/namespaces/slices/leases";
let server: KubernetesServer;
let systems = 0;
const opened: { close(): Promise<unknown> }[] = [];

before(async () => {
  server = await KubernetesServer.start();
  await server.namespace("slices");
});
after(() => server.stop());
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
  await server.call("DELETE", SLICES);
});

interface Options {
  address?: string;
  planeLeaseMs?: number;
  problems?: string[];
}

async function open(system: string, { address, planeLeaseMs, problems }: Options = {}): Promise<Registry> {
  const onError = ({ message }: Error): void => void problems?.push(message);
  const url = server.url("slices", address);
  const registry = await openKubernetesRegistry({ url, system, planeLeaseMs, onError });
  opened.push(registry);
  return registry;
}

async function listed(registry: Registry, service = "*"): Promise<readonly Endpoint[]> {
  return (await registry.query([service])).endpoints;
}

async function ids(registry: Registry): Promise<string> {
  return (await listed(registry))
    .map(({ id }) => id)
    .sort()
    .join(" ");
}

/** As Kubernetes' controller writes it for the Service "orders". */
function slice(name: string, endpoints: object[], labels: Record<string, string> = {}) {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name,
      labels: {
        "kubernetes.io/service-name": "orders",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        ...labels,
      },
    },
    addressType: "IPv4",
    endpoints,
    ports: [
      { name: "grpc", port: 9_090, protocol: "TCP", appProtocol: "kubernetes.io/h2c" },
      { name: "metrics", port: 9_100, protocol: "TCP" },
    ],
  };
}

const ready = { ready: true, serving: true, terminating: false };

test("slices that Kubernetes makes for Services are seen, follow it, and are nobody's to write", async () => {
  const registry = await open(`system-${++systems}`);
  const pod = { kind: "Pod", name: "orders-abc", namespace: "slices" };
  const one = { addresses: ["10.1.0.1"], conditions: ready, zone: "eu-1", nodeName: "n1", targetRef: pod };
  const made = await server.call("POST", SLICES, slice("orders-1", [one]));
  assert.equal(made.status, 201);
  await timeUntil(async () => (await ids(registry)) === "orders/10.1.0.1:9090", "seen");
  assert.deepEqual(await listed(registry, "orders"), [
    {
      id: "orders/10.1.0.1:9090",
      service: "orders",
      host: "10.1.0.1",
      port: 9_090,
      version: "",
      zone: "eu-1",
      weight: 1,
      protocol: "h2c",
      health: "healthy",
      metadata: { "kubernetes.io/pod": "orders-abc", "kubernetes.io/node": "n1" },
    },
  ]);
  const healthOf = async () => (await listed(registry))[0]?.health;
  const leaving = { ready: false, serving: true, terminating: true };
  await server.call("PUT", `${SLICES}/orders-1`, slice("orders-1", [{ ...one, conditions: leaving }]));
  await timeUntil(async () => (await healthOf()) === "draining", "draining");
  const notReady = { ready: false, serving: false, terminating: false };
  await server.call("PUT", `${SLICES}/orders-1`, slice("orders-1", [{ ...one, conditions: notReady }]));
  await timeUntil(async () => (await healthOf()) === "unhealthy", "unhealthy");
  await server.call("PUT", `${SLICES}/orders-1`, slice("orders-1", [one], { "weftmesh.dev/version": "v2" }));
  await timeUntil(async () => (await listed(registry))[0]?.version === "v2", "the version of a label");
  const { body: before } = await server.call("GET", `${SLICES}/orders-1`);
  await registry.setHealth("orders/10.1.0.1:9090", "unhealthy", "refused", "check");
  assert.equal(await healthOf(), "unhealthy", "what a check finds counts here");
  const { body: afterwards } = await server.call("GET", `${SLICES}/orders-1`);
  assert.equal(afterwards.metadata.resourceVersion, before.metadata.resourceVersion, "weft wrote to it");
  await server.call("DELETE", `${SLICES}/orders-1`);
  await timeUntil(async () => (await ids(registry)) === "", "gone");
});

test("a pod that registers itself and is behind a Service is one endpoint", async () => {
  const registry = await open(`system-${++systems}`);
  const two = ["10.1.0.1", "10.1.0.2"].map((address) => ({ addresses: [address], conditions: ready }));
  await server.call("POST", SLICES, slice("orders-1", two));
  await timeUntil(async () => (await ids(registry)) === "orders/10.1.0.1:9090 orders/10.1.0.2:9090", "both");
  const lease = await registry.register(endpointOf("orders", 1, { host: "10.1.0.1", port: 9_090 }), 30_000);
  await timeUntil(
    async () => (await ids(registry)) === "orders-1 orders/10.1.0.2:9090",
    "one of them as it registered",
  );
  await lease.release();
  await timeUntil(async () => (await ids(registry)) === "orders/10.1.0.1:9090 orders/10.1.0.2:9090", "both again");
});

test("what weft registers is an EndpointSlice that others can use", async () => {
  const system = `system-${++systems}`;
  const registry = await open(system);
  await registry.register(endpointOf("orders", 7, { zone: "eu-1" }), 30_000);
  await registry.register(endpointOf("orders", 8, { host: "127.0.0.1" }), 30_000);
  await registry.register(endpointOf("orders", 9, { host: "fd00::9" }), 30_000);
  const { body } = await server.call("GET", `${SLICES}?labelSelector=kubernetes.io/service-name=orders`);
  const [v4, loopback, v6] = body.items;
  assert.deepEqual(v4.endpoints, [{ addresses: ["10.0.0.7"], conditions: ready, zone: "eu-1" }]);
  assert.deepEqual(v4.ports, [{ name: "", port: 9_000, protocol: "TCP", appProtocol: "kubernetes.io/h2c" }]);
  assert.deepEqual([loopback.addressType, loopback.endpoints ?? []], ["IPv4", []]);
  assert.deepEqual([v6.addressType, v6.endpoints[0].addresses], ["IPv6", ["fd00::9"]]);
  await registry.setHealth("orders-7", "draining", "stopping");
  const { body: drained } = await server.call("GET", `${SLICES}/${v4.metadata.name}`);
  assert.deepEqual(drained.endpoints[0].conditions, { ready: false, serving: true, terminating: true });
  // The kind of a slice's addresses never changes: an id that moves keeps its slice.
  await registry.register(endpointOf("orders", 7, { host: "fd00::7" }), 30_000);
  const other = await open(system);
  assert.equal((await listed(other)).find(({ id }) => id === "orders-7")?.host, "fd00::7");
});

test("what is no entry is told once, and takes nothing else with it", async () => {
  const system = `system-${++systems}`;
  const problems: string[] = [];
  const registry = await open(system, { problems });
  await registry.register(endpointOf("orders", 1), 30_000);
  const labels = { "endpointslice.kubernetes.io/managed-by": "weftmesh.dev", "weftmesh.dev/system": system };
  await server.call("POST", SLICES, slice("broken", [], labels));
  await timeUntil(() => problems.length > 0, "told");
  assert.match(problems[0], /the EndpointSlice broken cannot be used: it has no annotation weftmesh\.dev\/entry/);
  await registry.register(endpointOf("orders", 2), 30_000);
  assert.equal(await ids(registry), "orders-1 orders-2");
  assert.equal(problems.length, 1);
});

test("an entry that somebody broke is written over by whoever registers its id", async () => {
  const system = `system-${++systems}`;
  const problems: string[] = [];
  const first = await open(system);
  const lease = await first.register(endpointOf("orders", 1), 30_000);
  const [made] = (await server.call("GET", SLICES)).body.items;
  await lease.release();
  const { name, labels } = made.metadata;
  await server.call("POST", SLICES, slice(name, [], labels));
  const registry = await open(system, { problems });
  assert.match(problems.join(), new RegExp(`${name} cannot be used`));
  await registry.register(endpointOf("orders", 1, { port: 9_001 }), 30_000);
  assert.equal((await listed(registry))[0].port, 9_001);
});

test("deleted by hand, an entry is put there again by the control plane that holds it", async () => {
  const system = `system-${++systems}`;
  const [a, b] = [await open(system), await open(system)];
  await a.register(endpointOf("orders", 1), 30_000);
  await timeUntil(async () => (await ids(b)) === "orders-1", "seen by both");
  await server.call("DELETE", SLICES);
  const there = async () => (await server.call("GET", SLICES)).body.items.length === 1;
  const took = await timeUntil(there, "there again");
  console.log(`measured kubernetes deleted by hand: there again after ${Math.round(took)} ms`);
  await timeUntil(async () => (await ids(b)) === "orders-1", "seen by both again");
});

test("what a control plane that dies held can be registered elsewhere without leaving, and else leaves", async () => {
  const system = `system-${++systems}`;
  const line = await HurtLine.open(server.port);
  opened.push(line);
  const left: string[] = [];
  const b = await open(system, { planeLeaseMs: 3_000 });
  b.watch(["*"], ({ removed }) => left.push(...removed.map(({ id }) => id)));
  const a = await open(system, { address: line.address, planeLeaseMs: 3_000 });
  await a.register(endpointOf("orders", 1), 6_000);
  await a.register(endpointOf("orders", 2), 6_000);
  await timeUntil(async () => (await ids(b)) === "orders-1 orders-2", "seen by the other");
  // It dies without a word.
  line.refusing = true;
  line.reset();
  await wait(4_000);
  assert.equal(await ids(b), "orders-1 orders-2", "held for their processes");
  await b.register(endpointOf("orders", 1), 30_000);
  const started = performance.now();
  await timeUntil(async () => (await ids(b)) === "orders-1", "the other one leaves", 15_000);
  console.log(
    `measured kubernetes plane dead: what nobody took over left ${Math.round(4_000 + performance.now() - started)} ms after`,
  );
  assert.deepEqual(left, ["orders-2"]);
  const slices = async () => (await server.call("GET", SLICES)).body.items.length;
  await timeUntil(async () => (await slices()) === 1, "its slice is removed");
  const leases = async () =>
    (await server.call("GET", `${LEASES}?labelSelector=weftmesh.dev/system=${system}`)).body.items.length;
  await timeUntil(async () => (await leases()) === 1, "its Lease is removed", 25_000);
});

test("a control plane that stops says so: its Lease is gone, and what it held is held for a while", async () => {
  const system = `system-${++systems}`;
  const [a, b] = [await open(system), await open(system)];
  const leases = async () =>
    (await server.call("GET", `${LEASES}?labelSelector=weftmesh.dev/system=${system}`)).body.items.length;
  assert.equal(await leases(), 2);
  await a.register(endpointOf("orders", 1), 30_000);
  await timeUntil(async () => (await ids(b)) === "orders-1", "seen by the other");
  await a.close();
  // It waits no longer than a second for the answer.
  await timeUntil(async () => (await leases()) === 1, "its Lease is gone");
  await wait(1_000);
  assert.equal(await ids(b), "orders-1", "held for its process");
});

test("Leases that somebody deletes are made anew, and nothing leaves", async () => {
  const system = `system-${++systems}`;
  const [a, b] = [await open(system), await open(system)];
  const left: string[] = [];
  for (const one of [a, b]) one.watch(["*"], ({ removed }) => left.push(...removed.map(({ id }) => id)));
  await a.register(endpointOf("orders", 1), 30_000);
  await b.register(endpointOf("orders", 2), 30_000);
  const selected = `${LEASES}?labelSelector=weftmesh.dev/system=${system}`;
  await server.call("DELETE", selected);
  const leases = async () => (await server.call("GET", selected)).body.items.length;
  await timeUntil(async () => (await leases()) === 2, "both are there again");
  await wait(5_000);
  assert.deepEqual([await ids(a), await ids(b), left], ["orders-1 orders-2", "orders-1 orders-2", []]);
});

test("two systems in a namespace do not see what the other registers", async () => {
  const [one, other] = [await open(`system-${++systems}`), await open(`system-${++systems}`)];
  await one.register(endpointOf("orders", 1), 30_000);
  await other.register(endpointOf("orders", 1, { port: 9_001 }), 30_000);
  assert.equal((await listed(one))[0].port, 9_000);
  assert.equal((await listed(other))[0].port, 9_001);
  assert.equal((await listed(one)).length, 1);
});

test("more slices than fit into one answer are read whole", async () => {
  const system = `system-${++systems}`;
  const registry = await open(system);
  const numbers = Array.from({ length: 1_200 }, (_, i) => i);
  const started = performance.now();
  await Promise.all(
    numbers.map((i) => registry.register(endpointOf("orders", i, { host: `10.${i >> 8}.${i & 255}.1` }), 60_000)),
  );
  const took = performance.now() - started;
  console.log(`measured kubernetes registering: ${Math.round(1_200_000 / took)} a second`);
  const other = await open(system);
  assert.equal((await listed(other)).length, 1_200);
});

test("a route is accepted as the API server has it", async () => {
  const group = "gateway.networking.k8s.io";
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  const crd = {
    metadata: {
      name: `httproutes.${group}`,
      annotations: { "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/1" },
    },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural: "httproutes", singular: "httproute", kind: "HTTPRoute", listKind: "HTTPRouteList" },
      versions: [{ name: "v1", served: true, storage: true, schema, subresources: { status: {} } }],
    },
  };
  const defined = await server.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
  assert.equal(defined.status, 201);
  const routes = `/apis/${group}/v1/namespaces/slices/httproutes`;
  const backend = { group: "", kind: "Service", name: "products", port: 80, weight: 1 };
  const route = {
    apiVersion: `${group}/v1`,
    kind: "HTTPRoute",
    metadata: { name: "products" },
    spec: { parentRefs: [{ name: "public" }], rules: [{ backendRefs: [backend] }] },
  };
  await timeUntil(async () => (await server.call("POST", routes, route)).status === 201, "the kind is served", 10_000);
  const { body } = await server.call("GET", `${routes}/products`);
  body.status = { parents: [{ parentRef: { name: "public" }, controllerName: "example.com/a", conditions: [] }] };
  assert.equal((await server.call("PUT", `${routes}/products/status`, body)).status, 200);
  const printed = (await server.call("GET", `${routes}/products`)).body;
  assert.ok(printed.metadata.uid && printed.metadata.managedFields && printed.status);
  const { resources } = parseResources(readResourceDocuments(JSON.stringify(printed), "products.json"));
  assert.equal(resources[0].metadata.name, "products");
});
