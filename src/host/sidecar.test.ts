import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findEnvoy } from "./envoy.ts";
import { type Launch, type Launcher, launchOf } from "./launch.ts";
import { resolveSystem, type System } from "./resolve-system.ts";
import { unitSpecs } from "./unit-specs.ts";

function systemOf(services: Record<string, object>): System {
  const described = { name: "shop", gateway: false, services };
  return resolveSystem(described, "weft.config.ts", "/", () => ({ line: 1, column: 1 }));
}

const LEGACY = { run: ["python3", "app.py"] };
const PORTS = { app: 1, inbound: 2, outbound: 3, admin: 4, adminSocket: "/state/known/orders-1.admin", dns: 5 };

/** Arguments of what is started for "orders-1", or for what is beside it. */
function launched(t: TestContext, service: object, id: string): ReturnType<typeof launchOf> {
  const system = systemOf({ orders: { ...LEGACY, ...service } });
  const stateDir = mkdtempSync(join(tmpdir(), "weft-sidecar-"));
  t.after(() => rmSync(stateDir, { recursive: true }));
  const [unit] = system.units;
  const isSidecar = id.endsWith("-sidecar");
  const launch: Launch = {
    id,
    unitName: isSidecar ? "orders-sidecar" : "orders",
    unit: isSidecar ? undefined : unit,
    beside: isSidecar ? unit : undefined,
    ports: PORTS,
    port: PORTS.app,
    control: "http://127.0.0.1:7070",
    gateway: null,
    gatewayAdmin: null,
    dns: null,
  };
  const launcher: Launcher = { system, stateDir, weft: ["weft"], nodeArguments: [], load: 0 };
  return launchOf(launch, launcher);
}

test("a sidecar is told where its application listens, and the application where its sidecar does", (t) => {
  const sidecar = launched(
    t,
    { sidecar: { egress: "mesh", dns: true, virtualPorts: [80, 5432] }, version: "v1" },
    "orders-1-sidecar",
  );
  assert.equal(
    sidecar.args.join(" "),
    "sidecar --service orders --instance orders-1 --control 127.0.0.1:7070 --service-version v1 --app 127.0.0.1:1 --listen 127.0.0.1:2 " +
      "--outbound 127.0.0.1:3 --admin 127.0.0.1:4 --drain 10000 --egress mesh --dns 127.0.0.1:5 --virtual-ports 80,5432",
  );
  const { env } = launched(t, { sidecar: { dns: true } }, "orders-1");
  assert.deepEqual(
    [env.PORT, env.WEFT_SIDECAR, env.http_proxy, env.HTTPS_PROXY, env.WEFT_DNS],
    ["1", "127.0.0.1:3", "http://127.0.0.1:3", "http://127.0.0.1:3", "127.0.0.1:5"],
  );
  assert.match(env.NO_PROXY, /127\.0\.0\.1/);
  assert.equal(launched(t, {}, "orders-1").env.WEFT_SIDECAR, undefined);
});

test("in front of Envoy stands what prints its bootstrap", (t) => {
  const { args } = launched(t, { sidecar: "envoy" }, "orders-1-sidecar");
  assert.deepEqual(args.slice(0, 5), ["envoy-bootstrap", "--service", "orders", "--instance", "orders-1"]);
  // The host registers it once its application answers.
  assert.ok(args.includes("--no-register"));
});

test("each unit with sidecars has a unit of them beside it", () => {
  const system = systemOf({ orders: { ...LEGACY, sidecar: true, needs: ["stock"] }, stock: LEGACY });
  const specs = new Map(unitSpecs(system, false).map((spec) => [spec.name, spec]));
  assert.deepEqual(specs.get("orders")?.needs, ["control", "stock", "orders-sidecar"]);
  assert.deepEqual(specs.get("orders-sidecar")?.beside, { unit: "orders", suffix: "sidecar" });
  assert.equal(specs.has("stock-sidecar"), false);
});

test("what cannot be meant by sidecar is refused, with what to write instead", () => {
  const wrong: [object, RegExp][] = [
    [{ sidecar: "nginx" }, /must be true, false, "envoy" or an object/],
    [{ sidecar: { proxy: "envoi" } }, /"envoy"/],
    [{ sidecar: { proxy: "envoy", dns: true } }, /is of weft's own sidecar, not of Envoy/],
    [{ sidecar: { virtualPorts: [80] } }, /which need dns: true/],
    [{ sidecar: { dns: true, virtualPorts: [0] } }, /from 1 to 65535/],
    [{ sidecar: { transparent: true } }, /transparent/],
  ];
  for (const [service, message] of wrong)
    assert.throws(() => systemOf({ orders: { ...LEGACY, ...service } }), message, JSON.stringify(service));
  assert.throws(
    () => systemOf({ orders: { ...LEGACY, sidecar: true }, "orders-sidecar": LEGACY }),
    /is the name of the sidecars of orders/,
  );
  const versions = { v1: {}, v2: {} };
  assert.throws(
    () => systemOf({ orders: { ...LEGACY, versions, sidecar: true }, "orders-sidecar": LEGACY }),
    /is the name of the sidecars of orders/,
  );
});

test("Envoy is the one that is named, or that of the PATH", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-envoy-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "envoy");
  assert.equal(findEnvoy({ PATH: folder }), null);
  writeFileSync(file, "", { mode: 0o700 });
  assert.equal(findEnvoy({ PATH: `/nowhere:${folder}` }), file);
  assert.equal(findEnvoy({ WEFT_ENVOY: "/nowhere/envoy", PATH: folder }), null);
});
