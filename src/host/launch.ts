import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { hostPort } from "../core/address.ts";
import type { TokenKind } from "./join-tokens.ts";
import type { ProcessSpec } from "./process.ts";
import type { Command, System, SystemUnit } from "./resolve-system.ts";
import { sessionListenerText } from "./session-listener.ts";
import { besideOf, type Sidecar, type SidecarPorts, sidecarEnvironment } from "./sidecar.ts";

/** What all processes of a system are started with. */
export interface Launcher {
  readonly system: System;
  /** Folder for the system's state: run file, logs, data. Absolute. */
  readonly stateDir: string;
  /** Starts weft's own commands: [node, ...arguments, main file]. */
  readonly weft: readonly string[];
  /** Arguments of Node for services that are scripts: ["-C", "weft-source"] when weft itself runs from source. */
  readonly nodeArguments: readonly string[];
  /** Makes what a process joins the mesh by. Default: none gets an identity. */
  readonly joinToken?: (service: string, kind: TokenKind) => string;
  /** Calls a second of the system's load driver; 0 runs none. */
  readonly load: number;
}

/** One process to start. */
export interface Launch {
  readonly id: string;
  readonly unitName: string;
  /** Absent: one of weft's own. */
  readonly unit: SystemUnit | undefined;
  /** A sidecar: whose. */
  readonly beside?: SystemUnit | undefined;
  /** Of a sidecar, and of an instance that has one. */
  readonly ports?: SidecarPorts | undefined;
  /** What PORT says; 0 lets the process choose. */
  readonly port: number;
  /** URLs of what listens already, or did before its restart; null until then. */
  readonly control: string | null;
  readonly gateway: string | null;
  readonly gatewayAdmin: string | null;
  readonly dns: string | null;
}

export const CONTROL_UNIT = "control";
export const GATEWAY_UNIT = "gateway";
export const DNS_UNIT = "dns";
export const LOAD_UNIT = "load";
/** Beside the other state: what each unit's processes last knew of the system. Of no use to another run. */
export const KNOWN_FOLDER = "known";

/** Command, folder and environment of a process. docs/system.md describes the environment that services get. */
export function launchOf(launch: Launch, launcher: Launcher): ProcessSpec {
  const { unit } = launch;
  const env = environmentOf(launch, launcher);
  const { system, load } = launcher;
  if (launch.unitName === LOAD_UNIT && system.load !== null) {
    const driver = { command: system.load, cwd: system.dir };
    return run(driver, launch, launcher, { ...env, WEFT_TARGET: launch.gateway ?? "", WEFT_LOAD: String(load) });
  }
  if (unit === undefined) {
    const [command, ...args] = launcher.weft;
    const own = launch.beside === undefined ? ownArguments(launch, launcher) : sidecarArguments(launch, launch.beside);
    return {
      command,
      args: [...args, ...own],
      cwd: launcher.system.dir,
      env,
      channel: true,
    };
  }
  return run(unit, launch, launcher, env);
}

function run(
  { command, cwd }: { readonly command: Command; readonly cwd: string },
  { port }: Launch,
  { nodeArguments }: Launcher,
  env: Record<string, string>,
): ProcessSpec {
  if (command.kind === "node") return { command: process.execPath, args: [...nodeArguments, command.file], cwd, env };
  // "$PORT" in an argument is the port, for programs that do not read their environment.
  const args = command.argv.slice(1).map((arg) => arg.replaceAll("$PORT", String(port)));
  return { command: command.argv[0], args, cwd, env };
}

/** "http://127.0.0.1:8080" -> "127.0.0.1:8080" */
export function addressOf(url: string | null): string | null {
  return url === null ? null : url.replace(/^(?:https?|dns):\/\//, "").replace(/\/$/, "");
}

/** weft's own processes listen again where they listened before, so that everybody finds them after a restart. */
function ownArguments(launch: Launch, { system, stateDir }: Launcher): string[] {
  if (launch.unitName === CONTROL_UNIT) {
    const listen = addressOf(launch.control) ?? "127.0.0.1:0";
    const consul = system.consul === null ? [] : ["--consul", hostPort(system.consul.host, system.consul.port)];
    return ["control", "--listen", listen, "--data", join(stateDir, "control"), "--system", system.name, ...consul];
  }
  if (launch.unitName === DNS_UNIT && system.dns !== null) {
    const { host, port, allow, ttl } = system.dns;
    const listen = addressOf(launch.dns) ?? hostPort(host, port);
    const allowed = allow.length === 0 ? [] : ["--allow", allow.join(",")];
    return ["dns", "--control", launch.control ?? "", "--listen", listen, "--ttl", String(ttl), ...allowed];
  }
  if (system.gateway === null) return [];
  const { host, port, adminHost, adminPort, tls, trustedProxies, proxyProtocol, listeners } = system.gateway;
  const listen = addressOf(launch.gateway) ?? hostPort(host, port);
  const admin = addressOf(launch.gatewayAdmin) ?? hostPort(adminHost, adminPort);
  const secure = tls === null ? [] : ["--tls-cert", tls.cert, "--tls-key", tls.key];
  const trusted = trustedProxies.length === 0 ? [] : ["--trusted-proxies", trustedProxies.join(",")];
  const proxied = proxyProtocol.length === 0 ? [] : ["--proxy-protocol", proxyProtocol.join(",")];
  const beside = listeners.flatMap((listener) => ["--listener", sessionListenerText(listener)]);
  const where = ["--control", launch.control ?? "", "--listen", listen, "--admin", admin];
  return ["gateway", ...where, ...secure, ...trusted, ...proxied, ...beside];
}

/** Of weft's own sidecar; for Envoy those that print what it is started with. */
function sidecarArguments({ id, control, ports }: Launch, unit: SystemUnit): string[] {
  if (ports === undefined || unit.sidecar === null) return [];
  const at = (port: number): string => hostPort("127.0.0.1", port);
  const who = ["--service", unit.service, "--instance", besideOf(id), "--control", addressOf(control) ?? ""];
  const version = unit.version === "" ? [] : ["--service-version", unit.version];
  const where = ["--app", at(ports.app), "--listen", at(ports.inbound), "--outbound", at(ports.outbound)];
  const common = [...who, ...version, ...where];
  if (unit.sidecar.proxy === "envoy")
    return ["envoy-bootstrap", ...common, "--admin", `unix:${ports.adminSocket}`, "--no-register", "--json"];
  const protocol = unit.protocol === null ? [] : ["--app-protocol", unit.protocol];
  const rest = ["--admin", at(ports.admin), "--drain", String(unit.drainMs), "--egress", unit.sidecar.egress];
  return ["sidecar", ...common, ...protocol, ...rest, ...virtualArguments(unit.sidecar, at(ports.dns))];
}

function virtualArguments({ dns, virtualPorts }: Sidecar, at: string): string[] {
  if (!dns) return [];
  return ["--dns", at, ...(virtualPorts.length === 0 ? [] : ["--virtual-ports", virtualPorts.join(",")])];
}

/** Of who takes part in calls: gateway, sidecars, and services that have none. Never an argument, which everybody on the machine can read. */
function tokenOf({ unit, unitName, beside }: Launch, make: NonNullable<Launcher["joinToken"]>): string | null {
  if (beside !== undefined) return make(beside.service, beside.sidecar?.proxy === "envoy" ? "envoy" : "own");
  if (unit !== undefined) return unit.sidecar === null ? make(unit.service, "run") : null;
  return unitName === GATEWAY_UNIT ? make(GATEWAY_UNIT, "own") : null;
}

/** By which services read sealed settings: of whoever starts the system, and for nobody else in it. */
function settingsKeys(): Record<string, string> {
  const { WEFT_SETTINGS_KEYS: keys = "", WEFT_SETTINGS_KEYS_FILE: file = "" } = process.env;
  if (keys !== "") return { WEFT_SETTINGS_KEYS: keys };
  return file === "" ? {} : { WEFT_SETTINGS_KEYS_FILE: resolve(file) };
}

function environmentOf(launch: Launch, { system, stateDir, joinToken }: Launcher): Record<string, string> {
  const env: Record<string, string> = {};
  // A system started from within another one must not see that one's variables.
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith("WEFT_")) env[name] = value;
  }
  Object.assign(env, { WEFT_SYSTEM: system.name, WEFT_INSTANCE: launch.id });
  const { unit, unitName } = launch;
  const token = joinToken === undefined ? null : tokenOf(launch, joinToken);
  if (token !== null) env.WEFT_JOIN_TOKEN = token;
  // Replicas share one: what they know of others is the same, and it is replaced whole.
  const stateFile = join(stateDir, KNOWN_FOLDER, `${unit?.prefix ?? unitName}.json`);
  if (launch.beside !== undefined) {
    // glibc gives each thread an arena of its own to allocate from: 0.4 MB of a sidecar whose threads have little to do.
    if (launch.beside.sidecar?.proxy === "weft") env.MALLOC_ARENA_MAX ??= "1";
    // It registers the instance.
    const { WEFT_TAGS: tags } = launch.beside.env;
    return { ...env, WEFT_STATE_FILE: stateFile, ...(tags !== undefined && { WEFT_TAGS: tags }) };
  }
  if (unit === undefined) {
    // Not an argument, which everybody on the machine can read.
    if (unitName === CONTROL_UNIT) {
      if (system.registry !== null) env.WEFT_REGISTRY = system.registry;
      if (system.store !== null) env.WEFT_STORE = system.store;
      if (system.mode !== null) env.WEFT_REGISTRY_MODE = system.mode;
      return env;
    }
    if (unitName !== GATEWAY_UNIT && unitName !== DNS_UNIT) return env;
    if (unitName === GATEWAY_UNIT && system.sharedLimits !== null) env.WEFT_SHARED_LIMITS = system.sharedLimits;
    return { ...env, WEFT_STATE_FILE: stateFile };
  }
  const data = join(stateDir, "data", unit.service);
  mkdirSync(data, { recursive: true });
  return {
    ...env,
    PORT: String(launch.port),
    WEFT_CONTROL: launch.control ?? "",
    ...(launch.dns !== null && { WEFT_DNS: addressOf(launch.dns) ?? "" }),
    WEFT_SERVICE: unit.service,
    WEFT_VERSION: unit.version,
    WEFT_DATA: data,
    WEFT_STATE_FILE: stateFile,
    WEFT_DRAIN_MS: String(unit.drainMs),
    ...settingsKeys(),
    ...(launch.ports !== undefined && unit.sidecar !== null && sidecarEnvironment(launch.ports, unit.sidecar)),
    ...unit.env,
  };
}
