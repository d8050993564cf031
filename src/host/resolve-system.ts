import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseNetwork } from "../core/network.ts";
import { didYouMean } from "../core/suggest.ts";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import type { ResourceDocument } from "../policy/resource/resource-document.ts";
import { type TrafficPolicy, WEFT_API } from "../policy/resource/resources.ts";
import { DescriptionReader, type Fields } from "./description-reader.ts";
import { type FirstSettings, readFirstSettings } from "./first-settings.ts";
import { type FieldPath, kindOf, type Locator, Problems } from "./problems.ts";
import { LISTENER_NAME, parseSessionListener, type SessionListener } from "./session-listener.ts";
import { readSidecar, type Sidecar, sidecarsOf, sidecarUnit } from "./sidecar.ts";
import type { SystemDescription } from "./system.ts";

/** A system, total and checked: what a description means. Frozen. */
export interface System {
  readonly name: string;
  /** The folder that the description stands in; absolute. */
  readonly dir: string;
  readonly file: string;
  readonly gateway: Gateway | null;
  /** Who answers DNS queries; null: nobody. */
  readonly dns: Dns | null;
  /** Where the control plane serves Consul's API; null: nowhere. Port 0 picks a free one. */
  readonly consul: { readonly host: string; readonly port: number } | null;
  /** In an order in which each unit comes after those that it needs. */
  readonly units: readonly SystemUnit[];
  /** Routes and policies as they were written, each with its place; resources, documents of files (which know their places) and builders mixed. */
  readonly resources: readonly PlacedResource[];
  /** Folders with contracts, absolute. */
  readonly contracts: readonly string[];
  /** A Redis url; null for leases from the control plane. */
  readonly sharedLimits: string | null;
  /** A url; null for the control plane's own registry. */
  readonly registry: string | null;
  /** What the registry promises; null for the default. */
  readonly mode: "available" | "consistent" | null;
  /** A url; null for the control plane's own store. */
  readonly store: string | null;
  /** Set at the start where nobody has set them. */
  readonly settings: FirstSettings;
  readonly load: Command | null;
  readonly try: readonly string[];
  readonly locate: Locator;
}

export interface Gateway {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  /** Absolute paths of PEM files; null for plain text. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** Networks in CIDR notation. */
  readonly trustedProxies: readonly string[];
  /** Networks in CIDR notation, from which a header of the PROXY protocol comes first. */
  readonly proxyProtocol: readonly string[];
  /** Beside HTTP. */
  readonly listeners: readonly SessionListener[];
}

export interface Dns {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Networks in CIDR notation; empty: this machine alone. */
  readonly allow: readonly string[];
  /** Seconds. */
  readonly ttl: number;
}

/** One service in one version. */
export interface SystemUnit {
  /** "products@v1", or "users" for a service without versions. */
  readonly name: string;
  readonly service: string;
  readonly version: string;
  /** Instances are called `<prefix>-1`, `<prefix>-2`, ... */
  readonly prefix: string;
  readonly command: Command;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly replicas: number;
  /** Names of units. */
  readonly needs: readonly string[];
  readonly readyTimeoutMs: number;
  readonly drainMs: number;
  readonly restart: "always" | "never";
  /** Who registers an instance: its process, or the host once it listens. One with a sidecar is registered by that, or for Envoy by the host. */
  readonly register: "self" | "host";
  readonly sidecar: Sidecar | null;
  /** What it speaks, where the host registers it; null: what answers. */
  readonly protocol: "h2c" | "http1" | "tcp" | "udp" | null;
}

/** A script for Node (absolute path), or any command. */
export type Command =
  | { readonly kind: "node"; readonly file: string }
  | { readonly kind: "exec"; readonly argv: readonly string[] };

export interface PlacedResource {
  readonly path: FieldPath;
  readonly value: unknown;
}

/**
 * Checks a description as a whole. Throws `invalid_argument` (reason INVALID_SYSTEM) with everything that is wrong in it, each with
 * file, line, field and, where one is near, a suggestion.
 */
export function resolveSystem(
  description: unknown,
  file: string,
  dir: string,
  locate: Locator,
  /** From files beside it. */
  further: readonly ResourceDocument[] = [],
): System {
  const problems = new Problems(file, locate);
  const reader = new DescriptionReader(problems, dir);
  if (description === undefined)
    problems.add(
      [],
      "has resources only; describe the system in weft.config.ts beside it, or in a first document: name, services",
    );
  const system = description === undefined ? null : readSystem(reader, description, file, locate, further);
  problems.throwIfAny("INVALID_SYSTEM");
  return Object.freeze(system as System);
}

const NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const VERSION = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
const RESERVED = ["control", "dns", "gateway", "load"];
const RUN_FIELDS = ["run", "replicas", "env", "cwd"] as const;
export const SERVICE_FIELDS = [
  ...RUN_FIELDS,
  "version",
  "versions",
  "needs",
  "register",
  "protocol",
  "sidecar",
  "mtls",
  "readyTimeoutMs",
  "drainMs",
  "restart",
] as const;
export const SYSTEM_FIELDS = [
  "name",
  "gateway",
  "dns",
  "consul",
  "services",
  "routes",
  "policies",
  "resources",
  "contracts",
  "sharedLimits",
  "registry",
  "mode",
  "store",
  "settings",
  "mtls",
  "load",
  "try",
] satisfies (keyof SystemDescription)[];
const MAX_REPLICAS = 1_000;

function readSystem(
  reader: DescriptionReader,
  value: unknown,
  file: string,
  locate: Locator,
  further: readonly ResourceDocument[],
): System | null {
  const { problems, dir } = reader;
  const fields = reader.object(value, []);
  if (fields === null) return null;
  problems.unknownFields(fields, [], SYSTEM_FIELDS);
  const name = reader.name(fields.name, ["name"], NAME, "my-shop") ?? "";
  const gateway = readGateway(reader, fields.gateway);

  const units: SystemUnit[] = [];
  const services = fields.services === undefined ? null : reader.object(fields.services, ["services"]);
  if (fields.services === undefined)
    problems.add(["services"], 'is missing; name at least one: services: { users: { run: "users/main.ts" } }');
  for (const [service, entry] of Object.entries(services ?? {})) units.push(...readService(reader, service, entry));
  if (services !== null && Object.keys(services).length === 0)
    problems.add(["services"], "has no service; name at least one");
  const ordered = readNeeds(reader, services ?? {}, units);
  for (const own of units.filter((unit) => unit.sidecar !== null)) {
    const taken = units.find(
      ({ service, prefix }) =>
        service === sidecarUnit(own) || prefix === sidecarUnit(own) || service === sidecarsOf(own.service),
    );
    if (taken !== undefined)
      problems.add(["services", taken.service], `is the name of the sidecars of ${own.service}; choose another`);
  }

  const resources: PlacedResource[] = [];
  for (const key of ["routes", "policies"] as const) {
    for (const [i, item] of (reader.array(fields[key], [key]) ?? []).entries())
      resources.push({ path: [key, i], value: item });
  }
  const { resources: others } = fields;
  const listed = typeof others === "string" ? [others] : (reader.array(others, ["resources"]) ?? []);
  for (const [i, item] of listed.entries()) resources.push(...readResources(reader, item, ["resources", i]));
  resources.push(...readMutualTls(reader, fields, services ?? {}));
  resources.push(...further.map((document) => ({ path: [], value: document })));
  let contracts = reader.strings(fields.contracts, ["contracts"]);
  for (const [i, folder] of contracts.entries()) {
    if (!existsSync(reader.path(folder))) problems.add(["contracts", i], `no folder ${folder} in ${dir}`);
  }
  if (fields.contracts === undefined && existsSync(join(dir, "proto"))) contracts = ["proto"];
  return {
    name,
    dir,
    file,
    gateway,
    dns: readDns(reader, fields.dns),
    consul: readConsul(reader, fields.consul),
    units: ordered,
    resources,
    contracts: contracts.map((folder) => reader.path(folder)),
    sharedLimits: readSharedLimits(reader, fields.sharedLimits),
    registry: readRegistry(reader, fields.registry),
    mode: readMode(reader, fields.mode),
    store: readStore(reader, fields.store),
    settings: readFirstSettings(reader, fields.settings),
    load: fields.load === undefined ? null : reader.command(fields.load, ["load"]),
    try: reader.strings(fields.try, ["try"]),
    locate,
  };
}

/** `mtls` of the system and of services, as the policies that they stand for. */
function readMutualTls(reader: DescriptionReader, system: Fields, services: Fields): PlacedResource[] {
  const resources: PlacedResource[] = [];
  const add = (
    value: unknown,
    path: FieldPath,
    name: string,
    targetRefs?: TrafficPolicy["spec"]["targetRefs"],
  ): void => {
    const mtls = reader.oneOf(value, path, ["strict", "permissive", "off"] as const);
    if (mtls === null) return;
    const spec = { ...(targetRefs && { targetRefs }), mtls };
    const policy: TrafficPolicy = { apiVersion: WEFT_API, kind: "TrafficPolicy", metadata: { name }, spec };
    resources.push({ path, value: policy });
  };
  add(system.mtls, ["mtls"], "mtls");
  for (const [name, service] of Object.entries(services)) {
    const { mtls } = (typeof service === "object" && service !== null ? service : {}) as { mtls?: unknown };
    add(mtls, ["services", name, "mtls"], `mtls-of-${name}`, [{ kind: "Service", name }]);
  }
  return resources;
}

/** A file of resources, or one as it is. */
function readResources(reader: DescriptionReader, item: unknown, path: FieldPath): PlacedResource[] {
  if (typeof item !== "string") return [{ path, value: item }];
  const file = reader.path(item);
  if (!existsSync(file)) {
    reader.problems.add(path, `no file ${item} in ${reader.dir}`);
    return [];
  }
  try {
    return readResourceDocuments(readFileSync(file, "utf8"), item).map((document) => ({ path, value: document }));
  } catch (error) {
    reader.problems.add(path, error instanceof Error ? error.message : String(error));
    return [];
  }
}

function readGateway(reader: DescriptionReader, value: unknown): Gateway | null {
  if (value === false) return null;
  const fields = value === undefined ? {} : reader.object(value, ["gateway"]);
  if (fields === null) return null;
  reader.problems.unknownFields(
    fields,
    ["gateway"],
    ["listen", "admin", "tls", "trustedProxies", "proxyProtocol", "listeners"],
  );
  const listen = reader.address(fields.listen ?? 8080, ["gateway", "listen"]);
  const admin = reader.address(fields.admin ?? 0, ["gateway", "admin"]);
  const tls = readTls(reader, fields.tls);
  const path: FieldPath = ["gateway", "trustedProxies"];
  const trustedProxies = readNetworks(reader, fields.trustedProxies, path);
  const proxyProtocol = readNetworks(reader, fields.proxyProtocol, ["gateway", "proxyProtocol"]);
  const listeners = readListeners(reader, fields.listeners, ["gateway", "listeners"]);
  const addresses = { host: listen.host, port: listen.port, adminHost: admin.host, adminPort: admin.port };
  return { ...addresses, tls, trustedProxies, proxyProtocol, listeners };
}

function readListeners(reader: DescriptionReader, value: unknown, path: FieldPath): SessionListener[] {
  const listeners: SessionListener[] = [];
  const fields = value === undefined ? {} : (reader.object(value, path) ?? {});
  for (const [name, written] of Object.entries(fields)) {
    const at = [...path, name];
    if (!LISTENER_NAME.test(name))
      reader.problems.add(at, `"${name}" is no name: lower-case letters and digits, with "-" or "." inside`);
    const text = reader.string(written, at);
    const listener = text === null ? null : parseSessionListener(name, text);
    if (listener !== null) listeners.push(listener);
    else if (text !== null)
      reader.problems.add(
        at,
        `"${text}" is no listener; write a protocol and where: "tcp:5432", "udp:53", "tls:0.0.0.0:443"`,
      );
  }
  return listeners;
}

function readDns(reader: DescriptionReader, value: unknown): Dns | null {
  if (value === undefined) return null;
  const fields = reader.object(value, ["dns"]);
  if (fields === null) return null;
  reader.problems.unknownFields(fields, ["dns"], ["listen", "allow", "ttl"]);
  const { host, port } = reader.address(fields.listen ?? 5353, ["dns", "listen"]);
  const allow = readNetworks(reader, fields.allow, ["dns", "allow"]);
  return { host, port, allow, ttl: reader.number(fields.ttl, ["dns", "ttl"], 0, 86_400) ?? 5 };
}

function readConsul(reader: DescriptionReader, value: unknown): System["consul"] {
  if (value === undefined) return null;
  const fields = reader.object(value, ["consul"]);
  if (fields === null) return null;
  reader.problems.unknownFields(fields, ["consul"], ["listen"]);
  return reader.address(fields.listen ?? 8500, ["consul", "listen"]);
}

function readNetworks(reader: DescriptionReader, value: unknown, path: FieldPath): string[] {
  const networks = value === undefined ? [] : reader.strings(value, path);
  networks.forEach((network, i) => {
    if (parseNetwork(network) === undefined)
      reader.problems.add(
        Array.isArray(value) ? [...path, i] : path,
        `"${network}" is no address or network in CIDR notation, such as "10.0.0.0/8"`,
      );
  });
  return networks;
}

function readSharedLimits(reader: DescriptionReader, value: unknown): string | null {
  if (value === undefined) return null;
  const url = reader.string(value, ["sharedLimits"]);
  // A url may hold a password: it is not repeated.
  if (url !== null && !/^rediss?:\/\/[^/]/.test(url))
    reader.problems.add(["sharedLimits"], 'must be a url such as "redis://127.0.0.1:6379"; rediss:// is over TLS');
  return url;
}

/** The control plane, which uses it, reads the rest of it. */
function readRegistry(reader: DescriptionReader, value: unknown): string | null {
  if (value === undefined) return null;
  const url = reader.string(value, ["registry"]);
  // A url may hold a password: it is not repeated.
  if (url !== null && !/^(?:etcd|consul|zookeeper|kubernetes|postgres|dns):\/\/./.test(url))
    reader.problems.add(["registry"], 'must be a url such as "etcd://127.0.0.1:2379" (docs/registry.md)');
  return url;
}

function readMode(reader: DescriptionReader, value: unknown): System["mode"] {
  if (value === undefined || value === "available" || value === "consistent") return value ?? null;
  reader.problems.add(["mode"], 'must be "available" or "consistent" (docs/registry.md)');
  return null;
}

/** As the registry's. */
function readStore(reader: DescriptionReader, value: unknown): string | null {
  if (value === undefined) return null;
  const url = reader.string(value, ["store"]);
  if (url !== null && !/^(?:etcd|consul|zookeeper|kubernetes|postgres|git):\/\/./.test(url))
    reader.problems.add(
      ["store"],
      'must be a url such as "etcd://127.0.0.1:2379" or "git:///srv/shop.git" (docs/store.md)',
    );
  return url;
}

function readTls(reader: DescriptionReader, value: unknown): Gateway["tls"] {
  if (value === undefined) return null;
  const path = ["gateway", "tls"];
  const fields = reader.object(value, path);
  if (fields === null) return null;
  reader.problems.unknownFields(fields, path, ["cert", "key"]);
  const file = (field: "cert" | "key"): string => {
    if (fields[field] === undefined)
      reader.problems.add(path, `${field} is missing; name a PEM file: ${field}: "gateway.${field}.pem"`);
    const name = fields[field] === undefined ? null : reader.string(fields[field], [...path, field]);
    if (name !== null && !existsSync(reader.path(name)))
      reader.problems.add([...path, field], `no file ${name} in ${reader.dir}`);
    return reader.path(name ?? "");
  };
  return { cert: file("cert"), key: file("key") };
}

function readService(reader: DescriptionReader, service: string, value: unknown): SystemUnit[] {
  const { problems } = reader;
  const path: FieldPath = ["services", service];
  if (!NAME.test(service))
    problems.add(path, `"${service}" is no service name: lower-case letters, digits and "-" inside, at most 63`);
  if (RESERVED.includes(service)) problems.add(path, `"${service}" is a name of weft's own; choose another`);
  const fields = reader.object(value, path);
  if (fields === null) return [];
  problems.unknownFields(fields, path, SERVICE_FIELDS);
  const sidecar = readSidecar(reader, fields.sidecar, [...path, "sidecar"]);
  const common = {
    readyTimeoutMs: reader.number(fields.readyTimeoutMs, [...path, "readyTimeoutMs"], 100, 3_600_000) ?? 60_000,
    drainMs: reader.number(fields.drainMs, [...path, "drainMs"], 0, 3_600_000) ?? 10_000,
    restart: reader.oneOf(fields.restart, [...path, "restart"], ["always", "never"] as const) ?? "always",
  };
  const register = reader.oneOf(fields.register, [...path, "register"], ["self", "host"] as const);
  const protocol = reader.oneOf(fields.protocol, [...path, "protocol"], ["h2c", "http1", "tcp", "udp"] as const);
  if (protocol === "udp" && sidecar !== null)
    problems.add(
      [...path, "sidecar"],
      "takes no datagrams in, since they have no mutual TLS; leave it out: gateway and sidecars of others send them to the service itself",
    );
  const base = readRun(reader, fields, path);
  const unit = (version: string, run: Run): SystemUnit => {
    const versioned = fields.versions !== undefined;
    return {
      name: version === "" ? service : `${service}@${version}`,
      service,
      version,
      prefix: versioned ? `${service}-${version}` : service,
      command: run.command ?? { kind: "exec", argv: [] },
      cwd: run.cwd ?? reader.dir,
      env: run.env,
      replicas: run.replicas ?? 1,
      needs: [],
      sidecar,
      register: register ?? (run.command?.kind === "exec" || protocol !== null ? "host" : "self"),
      protocol,
      ...common,
    };
  };
  if (fields.versions === undefined) {
    if (fields.run === undefined)
      problems.add(
        [...path, "run"],
        'is missing; name a file, run: "main.ts", or a command, run: ["python3", "app.py"]',
      );
    const version =
      fields.version === undefined ? "" : (reader.name(fields.version, [...path, "version"], VERSION, "v1") ?? "");
    return [unit(version, base)];
  }
  if (fields.version !== undefined)
    problems.add([...path, "version"], "cannot stand beside versions; keep one of them");
  const versions = reader.object(fields.versions, [...path, "versions"]) ?? {};
  if (Object.keys(versions).length === 0)
    problems.add([...path, "versions"], "has no version; name at least one, or leave it out");
  return Object.entries(versions).flatMap(([version, entry]) => {
    const versionPath = [...path, "versions", version];
    reader.name(version, versionPath, VERSION, "v1");
    const own = reader.object(entry, versionPath);
    if (own === null) return [];
    problems.unknownFields(own, versionPath, RUN_FIELDS);
    if (own.run === undefined && fields.run === undefined)
      problems.add([...versionPath, "run"], `is missing; name a file: run: "${service}/main.ts"`);
    const run = readRun(reader, own, versionPath);
    return [
      unit(version, {
        command: run.command ?? base.command,
        cwd: run.cwd ?? base.cwd,
        env: { ...base.env, ...run.env },
        replicas: run.replicas ?? base.replicas,
      }),
    ];
  });
}

interface Run {
  readonly command: Command | null;
  readonly cwd: string | null;
  readonly env: Readonly<Record<string, string>>;
  readonly replicas: number | null;
}

function readRun(reader: DescriptionReader, fields: Fields, path: FieldPath): Run {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(
    (fields.env === undefined ? {} : reader.object(fields.env, [...path, "env"])) ?? {},
  )) {
    if (["string", "number", "boolean"].includes(typeof value)) env[name] = String(value);
    else reader.problems.add([...path, "env", name], `must be a string, a number or a boolean, not ${kindOf(value)}`);
  }
  const cwd = fields.cwd === undefined ? null : reader.string(fields.cwd, [...path, "cwd"]);
  if (cwd !== null && !existsSync(reader.path(cwd)))
    reader.problems.add([...path, "cwd"], `no folder ${cwd} in ${reader.dir}`);
  return {
    command: fields.run === undefined ? null : reader.command(fields.run, [...path, "run"]),
    cwd: cwd === null ? null : reader.path(cwd),
    env,
    replicas: reader.number(fields.replicas, [...path, "replicas"], 0, MAX_REPLICAS),
  };
}

/** Resolves what each service needs to units, refuses cycles, and gives the units in order of their needs. */
function readNeeds(reader: DescriptionReader, services: Fields, units: readonly SystemUnit[]): SystemUnit[] {
  const byService = Map.groupBy(units, (unit) => unit.service);
  const needs = new Map<string, string[]>();
  for (const service of byService.keys()) {
    const path: FieldPath = ["services", service, "needs"];
    const wanted = reader.strings((services[service] as Fields).needs, path);
    const found: string[] = [];
    for (const [i, name] of wanted.entries()) {
      const units = byService.get(name) ?? [...byService.values()].flat().filter((unit) => unit.name === name);
      if (units.length === 0)
        reader.problems.add([...path, i], `there is no service "${name}"${didYouMean(name, byService.keys())}`);
      for (const unit of units) found.push(unit.name);
    }
    needs.set(service, found);
  }
  const resolved = new Map(units.map((unit) => [unit.name, { ...unit, needs: needs.get(unit.service) ?? [] }]));
  const ordered: SystemUnit[] = [];
  const state = new Map<string, "visiting" | "done">();
  const visit = (unit: SystemUnit, trail: readonly string[]): void => {
    if (state.get(unit.name) === "done") return;
    if (state.get(unit.name) === "visiting") {
      const cycle = [...trail.slice(trail.indexOf(unit.service)), unit.service];
      reader.problems.add(
        ["services", unit.service, "needs"],
        `needs itself: ${cycle.join(" -> ")}; remove one of these needs`,
      );
      return;
    }
    state.set(unit.name, "visiting");
    for (const need of unit.needs) visit(resolved.get(need) as SystemUnit, [...trail, unit.service]);
    state.set(unit.name, "done");
    ordered.push(Object.freeze(unit));
  };
  for (const unit of resolved.values()) visit(unit, []);
  return ordered;
}
