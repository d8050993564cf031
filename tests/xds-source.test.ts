import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ClusterSchema } from "../src/contract/gen/envoy/config/cluster/v3/cluster.ts";
import { HttpProtocolOptionsSchema } from "../src/contract/gen/envoy/extensions/upstreams/http/v3/http_protocol_options.ts";
import { fromBinary } from "../src/contract/runtime.ts";
import { Authority } from "../src/control/authority/authority.ts";
import { Catalog } from "../src/control/catalog.ts";
import type { LedgerRevision } from "../src/control/ledger-revision.ts";
import { MeshSource } from "../src/control/xds/translate/mesh-source.ts";
import {
  CLUSTER,
  ENDPOINTS,
  LISTENER,
  ROUTE,
  SECRET,
  type XdsNode,
  type XdsResource,
  type XdsSnapshot,
} from "../src/control/xds/types.ts";
import { type Clock, VirtualClock } from "../src/core/clock.ts";
import type { Endpoint } from "../src/core/endpoint.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";

test("a node gets what its role needs, and certificates only if it has proven who it is", async (t) => {
  const { open } = await started(t, 3);
  const gateway = open({ role: "gateway", cluster: "gateway", inbound: 8_080, identity: "gateway" });
  assert.deepEqual(names(gateway, LISTENER), ["gateway"]);
  assert.deepEqual(names(gateway, SECRET), ["weft/identity", "weft/trust"]);
  const guest = open({ role: "sidecar", cluster: "s1", outbound: 15_001 });
  assert.deepEqual(names(guest, LISTENER), ["outbound"]);
  assert.deepEqual(names(guest, SECRET), []);
  assert.deepEqual(names(guest, CLUSTER), ["s0", "s1", "s2"]);
  const client = open({ role: "client", cluster: "web" });
  assert.deepEqual(names(client, LISTENER), ["s0", "s1", "s2"]);
  assert.throws(() => open({ role: "sidecar", cluster: "s1", identity: "s2" }), { reason: "OTHER_SERVICE" });
});

test("an endpoint that changes is told anew, and nothing else", async (t) => {
  const { open, clock, registry } = await started(t, 50);
  const told: string[] = [];
  const first = open({ role: "sidecar", cluster: "s1", outbound: 15_001 }, () => told.push("first"));
  const second = open({ role: "sidecar", cluster: "s2", outbound: 15_002 }, () => told.push("second"));
  const before = first.snapshot as XdsSnapshot;
  await registry.setHealth("s7-0", "draining", "test");
  await settle(clock);
  assert.deepEqual(told, ["first", "second"]);
  const after = first.snapshot as XdsSnapshot;
  assert.deepEqual(changed(before, after, ENDPOINTS), ["s7"]);
  for (const typeUrl of [CLUSTER, ROUTE, LISTENER])
    assert.equal(after.resources.get(typeUrl), before.resources.get(typeUrl), typeUrl);
  // Encoded once for both.
  assert.equal(resource(first, ENDPOINTS, "s7"), resource(second, ENDPOINTS, "s7"));
});

test("each resource of each type is encoded once for all nodes that get it, at first and after a revision", async (t) => {
  const { open, clock, publish } = await started(t, 5);
  const feeds = [1, 2, 3].map((i) => open({ role: "sidecar", cluster: `s${i}`, id: `n${i}`, outbound: 15_001 }));
  const assertShared = (): void => {
    const [first, ...others] = feeds;
    for (const typeUrl of [CLUSTER, ENDPOINTS, LISTENER, ROUTE]) {
      assert.ok(names(first, typeUrl).length > 0, typeUrl);
      for (const other of others)
        for (const name of names(first, typeUrl))
          assert.equal(resource(other, typeUrl, name), resource(first, typeUrl, name), `${typeUrl} ${name}`);
    }
  };
  assertShared();
  publish([
    {
      apiVersion: "weftmesh.dev/v1",
      kind: "TrafficPolicy",
      metadata: { name: "p" },
      spec: { targetRefs: [{ kind: "Service", name: "s4" }], limits: { maxInFlight: 3 }, timeout: "2s" },
    },
  ]);
  await settle(clock);
  assert.equal((feeds[2].snapshot as XdsSnapshot).revision, 2);
  assertShared();
});

test("what an application speaks is taken from its registration, and until there is one from its callers", async (t) => {
  const { open, clock, registry } = await started(t, 2);
  const feed = open({ role: "sidecar", cluster: "s1", inbound: 8_080, app: "127.0.0.1:3000", id: "s1-9" });
  const protocols = (): string | undefined => {
    const bytes = resource(feed, CLUSTER, "weft/app")?.bytes ?? new Uint8Array();
    const [options] = Object.values(fromBinary(ClusterSchema, bytes).typedExtensionProtocolOptions);
    return fromBinary(HttpProtocolOptionsSchema, options.value).upstreamProtocolOptions.case;
  };
  assert.equal(protocols(), "useDownstreamProtocolConfig");
  await registry.register({ ...endpoint("s1", 9), protocol: "http1" }, 60_000);
  await settle(clock);
  assert.equal(protocols(), "explicitHttpConfig");
});

test("a revision changes what it is about, and every route configuration says which it is of", async (t) => {
  const { open, clock, publish } = await started(t, 50);
  const feed = open({ role: "sidecar", cluster: "s1", outbound: 15_001 });
  const before = feed.snapshot as XdsSnapshot;
  publish([
    {
      apiVersion: "weftmesh.dev/v1",
      kind: "TrafficPolicy",
      metadata: { name: "p" },
      spec: { targetRefs: [{ kind: "Service", name: "s9" }], limits: { maxInFlight: 3 } },
    },
  ]);
  await settle(clock);
  const after = feed.snapshot as XdsSnapshot;
  assert.equal(after.revision, 2);
  assert.deepEqual(changed(before, after, CLUSTER), ["s9"]);
  assert.deepEqual(changed(before, after, ENDPOINTS), []);
  assert.deepEqual(changed(before, after, ROUTE), ["outbound"]);
});

test("a service that comes has a cluster and a name", async (t) => {
  const { open, clock, registry } = await started(t, 2);
  const feed = open({ role: "sidecar", cluster: "s1", outbound: 15_001 });
  await registry.register(endpoint("late", 0), 60_000);
  await settle(clock);
  assert.deepEqual(names(feed, CLUSTER), ["late", "s0", "s1"]);
});

test("revisions that come one after the other are left out while what they cost is made up for, and endpoints do not wait", async (t) => {
  const costs = { modelMs: 0 };
  const { open, clock, publish, registry } = await started(t, 3, costs);
  const feed = open({ role: "sidecar", cluster: "s1", outbound: 15_001 });
  const revisions: number[] = [];
  const seen = open({ role: "sidecar", cluster: "s2", outbound: 15_002 }, () =>
    revisions.push((seen.snapshot as XdsSnapshot).revision),
  );
  costs.modelMs = 50;
  publish([]); // 2
  clock.advance(5);
  assert.deepEqual(revisions, [2], "the first is told at once");
  publish([]); // 3
  clock.advance(100);
  publish([]); // 4
  const before = feed.snapshot as XdsSnapshot;
  await registry.setHealth("s2-0", "draining", "test");
  await settle(clock);
  assert.deepEqual(changed(before, feed.snapshot as XdsSnapshot, ENDPOINTS), ["s2"]);
  assert.equal((feed.snapshot as XdsSnapshot).revision, 2);
  clock.advance(100);
  assert.equal((feed.snapshot as XdsSnapshot).revision, 4);
  assert.ok(!revisions.includes(3));
});

test("a certificate is renewed at half its life, and trust follows the authority", async (t) => {
  const { open, clock, authority } = await started(t, 1);
  let told = 0;
  const feed = open({ role: "gateway", cluster: "gateway", inbound: 8_080, identity: "gateway" }, () => told++);
  const certificate = resource(feed, SECRET, "weft/identity");
  clock.advance(authority.leafLifetimeMs / 2 - 1);
  assert.equal(resource(feed, SECRET, "weft/identity"), certificate);
  clock.advance(1);
  assert.notEqual(resource(feed, SECRET, "weft/identity"), certificate);
  assert.equal(told, 1);
  const trust = resource(feed, SECRET, "weft/trust");
  await authority.rotate();
  assert.notEqual(resource(feed, SECRET, "weft/trust"), trust);
  feed.close();
  const after = told;
  clock.advance(authority.leafLifetimeMs);
  assert.equal(told, after);
});

test("endpoints are called as their service's mtls says, and a strict one that proves nothing is not", async (t) => {
  const { open, clock, publish, registry } = await started(t, 2);
  await registry.register({ ...endpoint("s0", 0), identity: "spiffe://shop/s0" }, 60_000);
  const feed = open({ role: "sidecar", cluster: "s1", outbound: 15_001, identity: "s1" });
  const matches = (name: string): unknown => {
    const bytes = resource(feed, CLUSTER, name)?.bytes ?? new Uint8Array();
    return fromBinary(ClusterSchema, bytes).transportSocketMatches.map(({ match }) => match);
  };
  const mesh = { weft: "mesh" };
  for (const [mtls, some, none] of [
    ["permissive", [mesh], []],
    ["strict", [{}], [{}]],
    ["off", [], []],
  ] as const) {
    publish([
      {
        apiVersion: "weftmesh.dev/v1",
        kind: "TrafficPolicy",
        metadata: { name: "p" },
        spec: { targetRefs: SYSTEM, mtls },
      },
    ]);
    clock.advance(2_000);
    await settle(clock);
    // s0 has one endpoint that proves an identity, s1 none.
    assert.deepEqual([matches("s0"), matches("s1")], [some, none], mtls);
  }
});

test("what only hops may say is taken out where callers prove nothing: at a gateway, and in plain text before an application", async (t) => {
  const { open, clock, publish } = await started(t, 2);
  const gateway = open({ role: "gateway", cluster: "gateway", inbound: 8_080, identity: "gateway" });
  const place = { inbound: 8_081, app: "127.0.0.1:3000", outbound: 15_001 };
  const sidecar = open({ role: "sidecar", cluster: "s1", identity: "s1", ...place });
  const filters = (feed: Fed, name: string): number =>
    Buffer.from(resource(feed, LISTENER, name)?.bytes ?? [])
      .toString("latin1")
      .split("weft.hops").length - 1;
  const found = () => [filters(gateway, "gateway"), filters(sidecar, "inbound"), filters(sidecar, "outbound")];
  assert.deepEqual(found(), [1, 1, 0]);
  const strict = { targetRefs: SYSTEM, mtls: "strict" };
  publish([{ apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata: { name: "p" }, spec: strict }]);
  clock.advance(2_000);
  await settle(clock);
  assert.deepEqual(found(), [1, 0, 0]);
});

const SYSTEM = [{ kind: "System" }];

/** `costs`: time that passes while a revision is translated. */
async function started(t: TestContext, services: number, costs = { modelMs: 0 }) {
  const clock = new VirtualClock(Date.now());
  let spent = 0;
  const slow: Clock = {
    now: () => clock.now() + spent,
    wallMs: () => clock.wallMs(),
    after: (ms, fire) => clock.after(ms, fire),
  };
  const registry = createMemoryRegistry();
  const catalog = new Catalog(registry);
  for (let s = 0; s < services; s++) for (let i = 0; i < 2; i++) await registry.register(endpoint(`s${s}`, i), 60_000);
  await catalog.start();
  const authority = await Authority.open({ system: "shop", folder: "", clock });
  const listeners: ((revision: LedgerRevision) => void)[] = [];
  const ledger = {
    current: revisionOf(1, []),
    onChange: (listener: (revision: LedgerRevision) => void) => void listeners.push(listener),
  };
  // What is asked for twice a revision.
  const contracts = {
    all: () => {
      spent += costs.modelMs / 2;
      return [];
    },
  };
  const source = new MeshSource({ ledger, catalog, contracts, authority, clock: slow });
  t.after(async () => {
    source.close();
    catalog.close();
    await registry.close();
    await authority.close();
  });
  const publish = (resources: readonly unknown[]): void => {
    ledger.current = revisionOf(ledger.current.revision + 1, resources);
    for (const listener of listeners) listener(ledger.current);
  };
  const open = (node: Partial<XdsNode>, told: () => void = () => {}) => source.open({ ...NODE, ...node }, told);
  return { open, clock, registry, authority, publish };
}

const NODE: XdsNode = {
  id: "n1",
  cluster: "",
  role: "sidecar",
  zone: "",
  agent: "",
  inbound: 0,
  inboundHost: "127.0.0.1",
  outbound: 0,
  outboundHost: "127.0.0.1",
  app: "",
  version: "",
  identity: null,
  address: "127.0.0.1:1",
};

function revisionOf(revision: number, resources: readonly unknown[]): LedgerRevision {
  return {
    revision,
    author: "",
    reason: "",
    publishedMs: 0,
    changes: [],
    settings: { namespaces: {} },
    digest: `${revision}`,
    resources: JSON.stringify(resources),
  };
}

function endpoint(service: string, i: number): Endpoint {
  const at = { host: "127.0.0.1", port: 9_000 + i, version: "v1", zone: "", weight: 1 };
  return { id: `${service}-${i}`, service, ...at, protocol: "h2c", health: "healthy", metadata: {} };
}

/** The registry tells in its own time, the source a little later. */
async function settle(clock: VirtualClock): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(10);
}

type Fed = { readonly snapshot: XdsSnapshot | null };

function names({ snapshot }: Fed, typeUrl: string): string[] {
  return [...(snapshot?.resources.get(typeUrl)?.keys() ?? [])].sort();
}

function resource({ snapshot }: Fed, typeUrl: string, name: string): XdsResource | undefined {
  return snapshot?.resources.get(typeUrl)?.get(name);
}

function changed(before: XdsSnapshot, after: XdsSnapshot, typeUrl: string): string[] {
  const old = before.resources.get(typeUrl);
  return [...(after.resources.get(typeUrl) ?? [])]
    .filter(([name, one]) => old?.get(name) !== one)
    .map(([name]) => name);
}
