import { CONTROL_ADDRESSES_WANTED, parseControlAddresses } from "../core/control-addresses.ts";
import { readTags } from "../core/endpoint-tags.ts";
import { WeftError } from "../core/errors.ts";

/** What a process is told by its environment: by `weft up`, a container's description or a person. */
export interface ProcessSettings {
  /** WEFT_CONTROL: the control plane, "host:port", or several separated by commas; "" when there is none. */
  readonly control: string;
  /** WEFT_SIDECAR: the outbound address of the sidecar beside this process, "host:port"; "" when there is none. Typed clients send everything there and leave policy to
   * it; typed servers leave registration and gates to it. */
  readonly sidecar: string;
  /** WEFT_JOIN_TOKEN: what this process gets its identity by, from the control plane; "" for none. A secret. */
  readonly joinToken: string;
  /** WEFT_SERVICE: the registry name of what this process serves; "" leaves it to the contract. */
  readonly service: string;
  /** WEFT_VERSION: "v1"; default "". */
  readonly version: string;
  /** WEFT_INSTANCE: the id of this process's endpoint; "" makes one of service, host and port. */
  readonly instance: string;
  /** WEFT_ZONE; default "". */
  readonly zone: string;
  /** WEFT_LABELS: "canary=yes,team=shop"; what gray releases of settings choose by, beside zone, instance and version. */
  readonly labels: Readonly<Record<string, string>>;
  /** WEFT_TAGS: "canary,blue": of the endpoints that this process registers, in their metadata; gray releases of settings choose by them, too. */
  readonly tags: readonly string[];
  /** WEFT_SETTINGS_KEYS: by which sealed settings are read; "" for none. Secrets. */
  readonly settingsKeys: string;
  /** WEFT_SETTINGS_KEYS_FILE: where they are, instead; "" for nowhere. */
  readonly settingsKeysFile: string;
  /** WEFT_STATE_FILE: where the last known endpoints and policies are kept, to start from while the control plane is away; "" (default) for nowhere. */
  readonly stateFile: string;
  /** HOST: the address to listen on. Default 127.0.0.1. */
  readonly host: string;
  /** WEFT_ADVERTISE: the host that callers are told, when it differs from HOST (behind NAT, or when HOST is 0.0.0.0); default "". */
  readonly advertise: string;
  /** PORT: default undefined, which lets `serve` choose. */
  readonly port: number | undefined;
  /** WEFT_DRAIN_MS: how long calls in flight may take when the process is told to stop, ms. Default 10,000. */
  readonly drainMs: number;
}

/** Reads the variables. Throws `invalid_argument` that names the variable that is wrong. */
export function readProcessSettings(env: Readonly<Record<string, string | undefined>>): ProcessSettings {
  return {
    control: readControl(env),
    sidecar: readAddress(env, "WEFT_SIDECAR"),
    joinToken: env.WEFT_JOIN_TOKEN ?? "",
    service: env.WEFT_SERVICE ?? "",
    version: env.WEFT_VERSION ?? "",
    instance: env.WEFT_INSTANCE ?? "",
    zone: env.WEFT_ZONE ?? "",
    labels: readLabels(env.WEFT_LABELS ?? ""),
    tags: readTags(env),
    settingsKeys: env.WEFT_SETTINGS_KEYS ?? "",
    settingsKeysFile: env.WEFT_SETTINGS_KEYS_FILE ?? "",
    stateFile: env.WEFT_STATE_FILE ?? "",
    host: env.HOST || "127.0.0.1",
    advertise: env.WEFT_ADVERTISE ?? "",
    port: readNumber(env, "PORT", 65_535),
    drainMs: readNumber(env, "WEFT_DRAIN_MS", 86_400_000) ?? 10_000,
  };
}

function readControl(env: Readonly<Record<string, string | undefined>>): string {
  const value = env.WEFT_CONTROL ?? "";
  const addresses = value === "" ? [] : parseControlAddresses(value);
  if (addresses === null) throw wrong("WEFT_CONTROL", value, CONTROL_ADDRESSES_WANTED);
  return addresses.join(",");
}

function readAddress(env: Readonly<Record<string, string | undefined>>, name: string): string {
  const value = (env[name] ?? "").replace(/^http:\/\//, "").replace(/\/$/, "");
  if (value === "" || /^(?:\[[0-9a-fA-F:.]+\]|[^:[\]/\s]+):\d{1,5}$/.test(value)) return value;
  throw wrong(name, env[name], "host:port");
}

function readNumber(env: Readonly<Record<string, string | undefined>>, name: string, most: number): number | undefined {
  const value = env[name];
  if (value === undefined || value === "") return undefined;
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (number <= most) return number;
  throw wrong(name, value, `a whole number from 0 to ${most}`);
}

function readLabels(text: string): Record<string, string> {
  const labels: [string, string][] = [];
  for (const part of text.split(",").map((one) => one.trim())) {
    if (part === "") continue;
    const [, name = "", value = ""] = /^([A-Za-z0-9][\w./-]{0,62})=([\w./-]{1,253})$/.exec(part) ?? [];
    if (name === "" || labels.length === 63)
      throw wrong("WEFT_LABELS", text, "NAME=VALUE,... of letters, digits and . _ / -");
    labels.push([name, value]);
  }
  return Object.fromEntries(labels);
}

function wrong(name: string, value: string | undefined, wanted: string): WeftError {
  return new WeftError("invalid_argument", `the environment variable ${name} is "${value}"; it must be ${wanted}`, {
    reason: "BAD_ENVIRONMENT",
    place: { field: name },
  });
}
