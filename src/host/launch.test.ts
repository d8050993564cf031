import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CONTROL_UNIT, GATEWAY_UNIT, launchOf } from "./launch.ts";
import type { System } from "./resolve-system.ts";

const gateway = { host: "127.0.0.1", port: 8080, adminHost: "127.0.0.1", adminPort: 0, tls: null };
const launch = {
  id: "gateway",
  unitName: GATEWAY_UNIT,
  unit: undefined,
  port: 0,
  control: "127.0.0.1:7070",
  gateway: null,
  gatewayAdmin: null,
  dns: null,
};

test("a system's gateway is told whose x-forwarded-* it may believe", () => {
  const argumentsFor = (...trustedProxies: string[]) => {
    const system = {
      name: "shop",
      dir: "/shop",
      load: null,
      sharedLimits: null,
      gateway: { ...gateway, trustedProxies, proxyProtocol: [], listeners: [] },
    };
    const launcher = { stateDir: "/shop/.weft", weft: ["weft"], nodeArguments: [], load: 0 };
    return launchOf(launch, { ...launcher, system: system as unknown as System }).args.slice(0, 9);
  };
  const plain = ["gateway", "--control", "127.0.0.1:7070", "--listen", "127.0.0.1:8080", "--admin", "127.0.0.1:0"];
  assert.deepEqual(argumentsFor(), plain);
  assert.deepEqual(argumentsFor("10.0.0.0/8", "fd00::/8"), [...plain, "--trusted-proxies", "10.0.0.0/8,fd00::/8"]);
});

test("a system's gateway is told of its listeners and of who speaks the PROXY protocol", () => {
  const db = { name: "db", protocol: "TCP", host: "127.0.0.1", port: 5432 } as const;
  const dns = { name: "dns", protocol: "UDP", host: "::1", port: 53 } as const;
  const described = { ...gateway, trustedProxies: [], proxyProtocol: ["10.0.0.9"], listeners: [db, dns] };
  const system = { name: "shop", dir: "/shop", load: null, sharedLimits: null, gateway: described };
  const launcher = { stateDir: "/shop/.weft", weft: ["weft"], nodeArguments: [], load: 0 };
  const { args } = launchOf(launch, { ...launcher, system: system as unknown as System });
  const beside = ["--listener", "db=tcp:127.0.0.1:5432", "--listener", "dns=udp:[::1]:53"];
  assert.deepEqual(args.slice(7, 13), ["--proxy-protocol", "10.0.0.9", ...beside]);
});

test("where endpoints are kept is told the control plane alone, and not as an argument, for it may hold a password", () => {
  const registry = "etcd://me:secret@127.0.0.1:2379";
  const system = {
    name: "shop",
    dir: "/shop",
    load: null,
    sharedLimits: null,
    gateway: null,
    consul: { host: "127.0.0.1", port: 8500 },
    registry,
    mode: "consistent",
  } as unknown as System;
  const launcher = { stateDir: "/shop/.weft", weft: ["weft"], nodeArguments: [], load: 0, system };
  const control = launchOf({ ...launch, unitName: CONTROL_UNIT }, launcher);
  assert.equal(control.env.WEFT_REGISTRY, registry);
  assert.equal(control.env.WEFT_REGISTRY_MODE, "consistent");
  assert.deepEqual(control.args.slice(-2), ["--consul", "127.0.0.1:8500"]);
  assert.ok(!control.args.join(" ").includes("secret"));
  assert.equal(launchOf({ ...launch, unitName: "load" }, launcher).env.WEFT_REGISTRY, undefined);
});

test("services are given the keys of sealed settings, and nobody else is", (t) => {
  const before = { ...process.env };
  t.after(() => void (process.env = before));
  process.env = { ...before, WEFT_SETTINGS_KEYS: "k1:secret", WEFT_OTHER: "of another system" };
  const folder = mkdtempSync(join(tmpdir(), "weft-launch-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const system = {
    name: "shop",
    dir: folder,
    load: null,
    sharedLimits: null,
    gateway: null,
    registry: null,
    store: null,
    consul: null,
  };
  const launcher = {
    stateDir: folder,
    weft: ["weft"],
    nodeArguments: [],
    load: 0,
    system: system as unknown as System,
  };
  const unit = {
    service: "orders",
    prefix: "orders",
    version: "v1",
    command: { kind: "exec", argv: ["a"] },
    cwd: folder,
    env: {},
    sidecar: null,
    drainMs: 0,
    protocol: null,
  };
  const service = launchOf({ ...launch, unitName: "orders", unit: unit as never }, launcher);
  assert.equal(service.env.WEFT_SETTINGS_KEYS, "k1:secret");
  assert.equal(service.env.WEFT_OTHER, undefined);
  assert.equal(launchOf({ ...launch, unitName: CONTROL_UNIT }, launcher).env.WEFT_SETTINGS_KEYS, undefined);
});

test("a sidecar of weft's own allocates from one arena, whatever its threads", () => {
  const arenasOf = (proxy: string) => {
    const beside = {
      service: "orders",
      version: "",
      prefix: "orders",
      protocol: null,
      drainMs: 0,
      env: { WEFT_TAGS: "canary" },
    };
    const sidecar = { proxy, egress: "any", dns: false, virtualPorts: [] };
    const ports = { app: 1, inbound: 2, outbound: 3, admin: 4, adminSocket: "s", dns: 0 };
    const spec = { ...launch, id: "orders-1-sidecar", beside: { ...beside, sidecar }, ports };
    const launcher = { stateDir: "/shop/.weft", weft: ["weft"], nodeArguments: [], load: 0, system: { name: "shop" } };
    const { env } = launchOf(spec as unknown as Parameters<typeof launchOf>[0], launcher as never);
    assert.equal(env.WEFT_TAGS, "canary", "it registers its application, with its tags");
    return env.MALLOC_ARENA_MAX;
  };
  assert.equal(arenasOf("weft"), "1");
  assert.equal(arenasOf("envoy"), process.env.MALLOC_ARENA_MAX);
});
