import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveSystem } from "../../host/resolve-system.ts";
import type { InstanceView } from "../../host/types.ts";
import { PLAIN } from "../terminal.ts";
import { GatewayStats } from "./gateway-stats.ts";
import { renderTable } from "./table.ts";

const services = {
  users: { run: ["x"] },
  products: { run: ["x"], versions: { v1: { replicas: 2 }, v2: {} } },
  orders: { run: ["x"], needs: ["users"] },
};
const system = resolveSystem({ name: "shop", services }, "weft.config.ts", process.cwd(), () => null);

function instance(unit: string, number: number, more: Partial<InstanceView> = {}): InstanceView {
  const [service, version = ""] = unit.split("@");
  const id = `${service}${version === "" ? "" : `-${version}`}-${number}`;
  const address = `127.0.0.1:900${number}`;
  return {
    id,
    service,
    version,
    unit,
    state: "ready",
    health: "healthy",
    address,
    pid: 1,
    restarts: 0,
    lastReason: "",
    sinceMs: 0,
    ...more,
  };
}

test("a row tells the worst of a unit's instances first", () => {
  const rows = renderTable(
    system,
    [
      instance("users", 1, { health: "unhealthy" }),
      instance("products@v1", 1, {
        state: "backoff",
        health: null,
        restarts: 3,
        lastReason: "exit status 1: no database",
        address: "",
      }),
      instance("products@v1", 2),
      instance("products@v2", 1, { state: "starting", health: null, address: "" }),
      instance("orders", 1, { state: "waiting", health: null, address: "" }),
      instance("gateway", 1),
    ],
    new GatewayStats(),
    PLAIN,
  );
  assert.deepEqual(
    rows.map((row) => row.replace(/ {2,}/g, "  ")),
    [
      "SERVICE  VERSION  REPLICAS  HEALTH  RESTARTS  ADDRESS  CALLS/S  P50  P99  ERRORS",
      "users  0/1  unhealthy  0  127.0.0.1:9001",
      "products  v1  1/2  crashed: exit status 1: no database  3  127.0.0.1:9002",
      "products  v2  0/1  starting  0",
      "orders  0/1  waits for users  0",
      "gateway  1/1  healthy  0  127.0.0.1:9001",
    ],
  );
});

test("an idle service shows that nothing calls it, one without figures shows none", () => {
  const idle = { perSecond: 0, p50Ms: Number.NaN, p99Ms: Number.NaN, errors: 0, failing: false };
  const figures = { endpoints: ([id]: readonly string[]) => (id === "users-1" ? idle : null), total: () => null };
  const rows = renderTable(system, [instance("users", 1), instance("orders", 1)], figures, PLAIN);
  assert.match(rows[1], /127\.0\.0\.1:9001 +0 +0$/);
  assert.match(rows[4], /127\.0\.0\.1:9001$/);
});

test("several addresses are counted, and calls are shown in the row of who served them", () => {
  const stats = new GatewayStats();
  const scrape = (count: number) =>
    `weft_endpoint_duration_seconds_bucket{service="products",endpoint="products-v1-1",le="0.001"} ${count}\n` +
    `weft_endpoint_duration_seconds_bucket{service="products",endpoint="products-v1-1",le="+Inf"} ${count}\n` +
    `weft_endpoint_duration_seconds_count{service="products",endpoint="products-v1-1"} ${count}\n` +
    `weft_attempts_total{service="products",endpoint="products-v1-1",outcome="timeout"} 2\n`;
  stats.add(scrape(0), 0);
  stats.add(scrape(100), 1_000);
  const rows = renderTable(system, [instance("products@v1", 1), instance("products@v1", 2)], stats, PLAIN);
  assert.match(rows[2], /^products {2}v1 +2\/2 {2}healthy +0 {2}127\.0\.0\.1:9001 \+1 +100 {2}0\.7 ms {2}1\.0 ms +2$/);
});

test("where services have sidecars, it is told how many of them take calls", () => {
  const beside = {
    users: { run: ["x"], sidecar: true, replicas: 2 },
    stock: { run: ["x"], sidecar: "envoy" },
    web: { run: ["x"] },
  };
  const meshed = resolveSystem({ name: "shop", services: beside }, "weft.config.ts", process.cwd(), () => null);
  const instances = [
    instance("users", 1),
    instance("users", 2),
    instance("users-sidecar", 1),
    instance("users-sidecar", 2, { state: "backoff" }),
    instance("stock", 1),
    instance("stock-sidecar", 1),
    instance("web", 1),
  ];
  const rows = renderTable(meshed, instances, new GatewayStats(), PLAIN);
  assert.match(rows[0], /REPLICAS {2}SIDECARS +HEALTH/);
  assert.match(rows[1], /^users +2\/2 {2}1\/2 +healthy/);
  assert.match(rows[2], /^stock +1\/1 {2}1\/1 envoy +healthy/);
  assert.match(rows[3], /^web +1\/1 +healthy/);
});
