import type { MutualTls } from "../core/identity.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { SettingValue } from "../settings/settings-state.ts";

/**
 * A system as people write it in `weft.config.ts` (or, without builders, in `weft.yaml`). Paths are relative to the file's folder.
 * `resolveSystem` checks it whole and turns it into a total `System`.
 */
export interface SystemDescription {
  /** Lower-case letters, digits and "-". */
  name: string;
  /** The system's entry. False: none. Default `{ listen: 8080 }`. */
  gateway?: GatewayDescription | false;
  services: Record<string, ServiceDescription>;
  /** Answers DNS queries for the services' names below `weft.`. Default: nobody does. */
  dns?: DnsDescription;
  /** Serves Consul's API for services and health, at the control plane: docs/consul-api.md. Default: nobody does. */
  consul?: ConsulDescription;
  /** Where calls go: builders of `weftmesh/system`, or resources as they are. */
  routes?: readonly ResourceInput[];
  /** What may happen to calls: builders of `weftmesh/system`, or resources as they are. */
  policies?: readonly ResourceInput[];
  /** Both, in any order; a string names a YAML file of resources, relative to the description. */
  resources?: string | readonly (string | ResourceInput)[];
  /** Where limits of the whole system are kept that the gateway enforces: "redis://127.0.0.1:6379". Default: leases from the control plane. */
  sharedLimits?: string;
  /** Where endpoints are kept: "etcd://127.0.0.1:2379", which several control planes may share. Default: with the control plane. docs/registry.md. */
  registry?: string;
  /** "available" (default): the registry answers from what it knows, and says how old that is; "consistent": only what it can confirm. docs/registry.md. */
  mode?: "available" | "consistent";
  /** Where revisions are kept, and what else control planes share: "etcd://127.0.0.1:2379", "git:///srv/shop.git". Default: with the control plane. docs/store.md. */
  store?: string;
  /** First values of settings, by namespace and key: { orders: { maxItems: 5 } }. Each is set when the system starts and nobody has set it. docs/settings.md. */
  settings?: Record<string, Record<string, SettingValue>>;
  /** How services take calls, unless one says otherwise: "permissive" (default), "strict" or "off". docs/identity.md. */
  mtls?: MutualTls;
  /** Folders with .proto files, checked before the start. Default ["proto"] when there is one. */
  contracts?: string | readonly string[];
  /** A load driver, run by `weft up --load N` with WEFT_TARGET (the gateway's URL) and WEFT_LOAD (N, calls a second). Written like a service's `run`. */
  load?: string | readonly string[];
  /** Requests to show once the system is ready: "GET /v1/products". */
  try?: readonly string[];
}

export interface GatewayDescription {
  /** A port of 127.0.0.1, or "host:port". Port 0 picks a free one. Default 8080. */
  listen?: number | string;
  /** Where metrics and health are served. Default: a free port of 127.0.0.1. */
  admin?: number | string;
  /** Its certificate (with its chain) and private key: PEM files, relative to the description. Default: plain text. */
  tls?: { cert: string; key: string };
  /** Load balancers in front, by address or network ("10.0.0.0/8"), whose x-forwarded-* is believed. Default: none. */
  trustedProxies?: readonly string[];
  /** Load balancers in front that say by a header of the PROXY protocol (versions 1 and 2) who connects, by address or network; from them it must come. Default: none. */
  proxyProtocol?: readonly string[];
  /** Beside HTTP, by name: { db: "tcp:5432", dns: "udp:53", tls: "tls:0.0.0.0:443" }. TCPRoute, UDPRoute and TLSRoute say where what comes there goes. */
  listeners?: Record<string, string>;
}

export interface DnsDescription {
  /** A port of 127.0.0.1 (UDP and TCP), or "host:port". Port 0 picks a free one. Default 5353. */
  listen?: number | string;
  /** Who is answered, by address or network ("10.0.0.0/8"). Default: this machine alone. */
  allow?: readonly string[];
  /** Seconds that answers may be kept. Default 5. */
  ttl?: number;
}

export interface ConsulDescription {
  /** A port of 127.0.0.1, or "host:port". Port 0 picks a free one. Default 8500. */
  listen?: number | string;
}

export interface ServiceDescription extends RunDescription {
  /** The version of its instances, when it has only one: "v1". Default "". */
  version?: string;
  /** Several versions side by side; what a version leaves out it takes from the service. */
  versions?: Record<string, RunDescription>;
  /** Services (or "products@v1") that must be healthy first, and that stop after this one. */
  needs?: readonly string[];
  /** Who registers its instances. "self" (default for files): the process, with `serve`. "host" (default for commands): weft does it once the
   * process listens on the PORT it was given, and sees whether it speaks HTTP/2 (gRPC) or HTTP/1.1 there. */
  register?: "self" | "host";
  /** What it speaks on PORT, where weft registers it. Default: HTTP/2 (gRPC) or HTTP/1.1, whichever answers. "tcp" and "udp" are carried as they come (docs/tcp.md). */
  protocol?: "h2c" | "http1" | "tcp" | "udp";
  /** A proxy beside each instance: calls to it and from it go through that, under policy and with its identity. "envoy": a stock Envoy (WEFT_ENVOY, or `envoy`
   * of the PATH). Default: none. */
  sidecar?: boolean | "envoy" | SidecarDescription;
  /** How it takes calls: "strict", over mutual TLS from processes of the system alone; "permissive", in plain text, too; "off", in plain text. Default: the system's. */
  mtls?: MutualTls;
  /** Time from a process's start until it is healthy. Default 60,000. */
  readyTimeoutMs?: number;
  /** Time for calls in flight when an instance stops. Default 10,000. */
  drainMs?: number;
  /** "always" (default): an instance that ends is started again, with back-off. "never": it is left. */
  restart?: "always" | "never";
}

export interface SidecarDescription {
  /** Default "weft". */
  proxy?: "weft" | "envoy";
  /** What may be called through it: "any" (default), or services of the "mesh" alone. */
  egress?: "any" | "mesh";
  /** Also answer DNS queries, at WEFT_DNS of the application: NAME.weft has a virtual loopback address on which the sidecar listens. Default false. */
  dns?: boolean;
  /** Ports of virtual addresses. Default [80, 8080, 50051]. */
  virtualPorts?: readonly number[];
}

export interface RunDescription {
  /** A .ts or .js file, run by Node; or a command with its arguments, in any language: ["python3", "app.py"]. */
  run?: string | readonly string[];
  /** Instances. Default 1. */
  replicas?: number;
  /** Added to the environment of its processes. */
  env?: Record<string, string | number | boolean>;
  /** Where its processes run. Default: the description's folder. */
  cwd?: string;
}

/** A resource, or a builder that makes some. */
export type ResourceInput = Resource | ResourceBuilder;

export interface ResourceBuilder {
  resources(): readonly Resource[];
}

/** Describes a system. Gives the description back as it is: its use is the type. What is wrong in it is told when it is loaded, with file and line. */
export function defineSystem<D extends SystemDescription>(description: D): D {
  return description;
}
