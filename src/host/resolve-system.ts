import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import type { ResourceDocument } from "../policy/resource/resource-document.ts";
import { type TrafficPolicy, WEFT_API } from "../policy/resource/resources.ts";
import { DescriptionReader, type Fields } from "./description-reader.ts";
import { type FirstSettings, readFirstSettings } from "./first-settings.ts";
import { type FieldPath, type Locator, Problems } from "./problems.ts";
import { readConsul, readDns, readGateway } from "./read-listening.ts";
import { readNeeds } from "./read-needs.ts";
import { NAME, readService } from "./read-service.ts";
import type { SessionListener } from "./session-listener.ts";
import { type Sidecar, sidecarsOf, sidecarUnit } from "./sidecar.ts";
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
