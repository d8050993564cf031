import assert from "node:assert/strict";
import { test } from "node:test";
import { Catalog } from "../src/control/catalog.ts";
import { SidecarEndpoints } from "../src/control/xds/sidecar-endpoints.ts";
import type { XdsPlane } from "../src/control/xds/status.ts";
import type { XdsNode } from "../src/control/xds/types.ts";
import { VirtualClock } from "../src/core/clock.ts";
import type { Endpoint } from "../src/core/endpoint.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";

const NODE: XdsNode = {
  ...{ id: "pricing-1", cluster: "pricing", role: "sidecar", zone: "", agent: "envoy 1.40.0", version: "v1" },
  ...{ inbound: 15_006, inboundHost: "127.0.0.1", outbound: 0, outboundHost: "127.0.0.1", app: "127.0.0.1:3000" },
  ...{ registers: true, identity: null, address: "127.0.0.1:4000" },
};

async function started(t: { after(end: () => Promise<void>): void }) {
  const clock = new VirtualClock();
  const registry = createMemoryRegistry({ clock });
  const catalog = new Catalog(registry);
  await catalog.start();
  const planes: XdsPlane[] = [];
  const attach = (node: Partial<XdsNode> = {}, more: Partial<XdsPlane> = {}): void =>
    void planes.push({
      ...{ node: { ...NODE, ...node }, protocol: "delta", attachedMs: clock.wallMs(), revision: 1, target: 1 },
      ...{ accepted: true, refusals: [], loads: [], ...more },
    });
  const log: string[] = [];
  const sidecars = new SidecarEndpoints({
    ...{ status: { planes: () => planes }, registry, catalog, system: "shop", mutualTls: () => "permissive", clock },
    log: (line) => log.push(line),
  });
  t.after(async () => {
    await sidecars.close();
    catalog.close();
    await registry.close();
  });
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      clock.advance(500);
      await new Promise(setImmediate);
    }
  };
  const known = (): string[] => [...(catalog.get("pricing")?.endpoints.keys() ?? [])];
  return { attach, planes, pass, known, registry, log };
}

test("an Envoy before an application is registered while it is attached", async (t) => {
  const { attach, planes, pass, known, log } = await started(t);
  attach();
  await pass(1_000);
  assert.deepEqual(known(), [], "whoever started it may be about to register it");
  await pass(3_000);
  assert.deepEqual(known(), ["pricing-1"]);
  await pass(30_000);
  assert.deepEqual(known(), ["pricing-1"], "the lease is renewed");
  planes.length = 0;
  await pass(1_500);
  assert.deepEqual(known(), []);
  assert.deepEqual(log, []);
});

test("an Envoy is registered before anything was published, once it has what there is", async (t) => {
  const { attach, pass, known } = await started(t);
  attach({}, { revision: 0, target: 0, accepted: false });
  attach({ id: "pricing-2", inbound: 15_007 }, { revision: 0, target: 0 });
  await pass(4_000);
  assert.deepEqual(known(), ["pricing-2"]);
});

test("an Envoy is registered although the clock is set back by an hour", async (t) => {
  const { attach, pass, known } = await started(t);
  attach({}, { attachedMs: new VirtualClock().wallMs() + 3_600_000 });
  await pass(4_000);
  assert.deepEqual(known(), ["pricing-1"]);
});

test("an Envoy that somebody else registers is left to that, before its application is there and when that ends", async (t) => {
  const { attach, pass, known, registry } = await started(t);
  attach({ registers: false });
  await pass(10_000);
  assert.deepEqual(known(), [], "the application does not listen yet");
  const own: Endpoint = {
    ...{ id: "pricing-1", service: "pricing", host: "127.0.0.1", port: 15_006, version: "v1", zone: "", weight: 1 },
    ...{ protocol: "http1", health: "healthy", metadata: {} },
  };
  const lease = await registry.register(own, 60_000);
  await pass(3_000);
  assert.deepEqual(known(), ["pricing-1"]);
  await lease.release();
  await pass(10_000);
  assert.deepEqual(known(), [], "it drains");
});
