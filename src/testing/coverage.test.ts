import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { rateLimit, route, traffic } from "../policy/builders.ts";
import { assertCovered, coverage, readResources } from "./assert-covered.ts";
import { simulate } from "./simulate.ts";
import type { SimulatedSystem } from "./types.ts";

const system: SimulatedSystem = {
  services: { products: { versions: { v1: {}, v2: {} } }, orders: {} },
  routes: [
    route("/v1/products").to({ "products@v1": 95, "products@v2": 5 }),
    route("/v1/orders").to("orders").timeout("1s"),
  ],
  policies: [
    traffic("products").timeout("50ms").retry(1).fallback({ body: "none" }),
    rateLimit("orders").allow(1, "1s").burst(1),
  ],
};

test("rules that no call met, and rules that never acted, are listed", async () => {
  const world = simulate(system);
  assert.equal(world.coverage().exercised.length, 0);
  await world.load("GET /v1/products", { perSecond: 100, forMs: 1_000 });
  assert.deepEqual(
    world.coverage().never.map(({ id }) => id),
    [
      "HTTPRoute/v1-orders#main",
      "TrafficPolicy/products#timeout acts",
      "TrafficPolicy/products#retry acts",
      "TrafficPolicy/products#fallback acts",
      "RateLimit/orders",
      "RateLimit/orders#acts",
    ],
  );
  const down = world.fault("products", { down: true });
  await world.call("GET /v1/products");
  down.clear();
  world.fault("products", { stallMs: 100 });
  await world.call("GET /v1/products");
  await world.call("GET /v1/orders");
  await world.call("GET /v1/orders");
  assertCovered(world, { except: ["TrafficPolicy/products#timeout acts"] });
});

test("several worlds cover together", async () => {
  const one = simulate(system);
  const other = simulate(system);
  await one.load("GET /v1/products", { perSecond: 100, forMs: 1_000 });
  await other.load("GET /v1/orders", { perSecond: 100, forMs: 100 });
  const { never } = coverage([one, other]);
  assert.ok(never.every(({ kind }) => kind === "TrafficPolicy"));
});

test("what is missing is told in words, with file and line", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-coverage-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "weft.yaml");
  writeFileSync(
    file,
    `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  rules:
    - matches: [{ path: { value: /a } }]
      backendRefs: [{ name: products }]
    - matches: [{ path: { value: /b } }]
      backendRefs: [{ name: orders }]
---
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: all }
spec:
  timeout: 3s
`,
  );
  const world = simulate({ services: system.services, resources: readResources(file) });
  await world.call("GET /a");
  assert.throws(
    () => assertCovered(world),
    (error: Error) => {
      assert.equal(
        error.message,
        `2 of 4 rules were never exercised:\n  HTTPRoute/shop#rule 2   ${file}:8\n  TrafficPolicy/all#timeout acts   ${file}:15`,
      );
      return true;
    },
  );
  assert.throws(
    () => assertCovered(world, { except: ["HTTPRoute/shop*", "TrafficPolicy/al"] }),
    /"TrafficPolicy\/al" in/,
  );
});
