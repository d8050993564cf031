import { existsSync } from "node:fs";
import type { DescriptionReader, Fields } from "./description-reader.ts";
import { type FieldPath, kindOf } from "./problems.ts";
import type { Command, SystemUnit } from "./resolve-system.ts";
import { readSidecar } from "./sidecar.ts";

/** What stands in each version of a service, or in the service for all of them. */
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

/** The units of a service, one for each of its versions, before it is known what they need. */
export function readService(reader: DescriptionReader, service: string, value: unknown): SystemUnit[] {
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

/** Of systems and services. */
export const NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const VERSION = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
const RESERVED = ["control", "dns", "gateway", "load"];
const MAX_REPLICAS = 1_000;
