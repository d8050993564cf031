import type { DescriptionReader } from "./description-reader.ts";
import type { FieldPath } from "./problems.ts";

/** How the proxy beside each instance of a service is run. */
export interface Sidecar {
  /** weft's own, or a stock Envoy (WEFT_ENVOY, or `envoy` of the PATH). */
  readonly proxy: "weft" | "envoy";
  /** What its application may call through it: anything, or services of the mesh alone. */
  readonly egress: "any" | "mesh";
  /** Whether it answers DNS queries with virtual addresses, at the address that the application gets as WEFT_DNS. */
  readonly dns: boolean;
  /** Where it listens on virtual addresses; empty: its default. */
  readonly virtualPorts: readonly number[];
}

/** Where a sidecar and its application listen, from the sidecar's first start until the application is gone. All of 127.0.0.1. */
export interface SidecarPorts {
  readonly app: number;
  readonly inbound: number;
  readonly outbound: number;
  readonly admin: number;
  /** In place of it, of an Envoy: the file of a socket that nobody else can use. */
  readonly adminSocket: string;
  readonly dns: number;
}

/** Reads `sidecar:` of a service. Null: it has none. */
export function readSidecar(reader: DescriptionReader, value: unknown, path: FieldPath): Sidecar | null {
  const { problems } = reader;
  const plain: Sidecar = { proxy: "weft", egress: "any", dns: false, virtualPorts: [] };
  if (value === undefined || value === false) return null;
  if (value === true) return plain;
  if (value === "envoy") return { ...plain, proxy: "envoy" };
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    problems.add(path, 'must be true, false, "envoy" or an object: { egress: "mesh" }');
    return null;
  }
  const fields = value as Record<string, unknown>;
  problems.unknownFields(fields, path, ["proxy", "egress", "dns", "virtualPorts"]);
  const proxy = reader.oneOf(fields.proxy, [...path, "proxy"], ["weft", "envoy"] as const) ?? "weft";
  const egress = reader.oneOf(fields.egress, [...path, "egress"], ["any", "mesh"] as const) ?? "any";
  const { dns = false } = fields;
  if (typeof dns !== "boolean") problems.add([...path, "dns"], "must be true or false");
  const ports = reader.array(fields.virtualPorts, [...path, "virtualPorts"]) ?? [];
  const virtualPorts = ports
    .map((port, i) => reader.number(port, [...path, "virtualPorts", i], 1, 65_535))
    .filter((port) => port !== null);
  if (proxy === "envoy") {
    for (const field of ["egress", "dns", "virtualPorts"])
      if (fields[field] !== undefined)
        problems.add([...path, field], 'is of weft\'s own sidecar, not of Envoy; leave it out, or take proxy: "weft"');
  } else if (virtualPorts.length > 0 && dns !== true)
    problems.add([...path, "virtualPorts"], "are ports of virtual addresses, which need dns: true");
  return { proxy, egress, dns: dns === true, virtualPorts };
}

/** "orders-sidecar", "products-v1-sidecar": the unit of the sidecars of a unit, by its prefix. */
export function sidecarUnit({ prefix }: { readonly prefix: string }): string {
  return `${prefix}-${SIDECAR_SUFFIX}`;
}

/** "products-sidecar": the sidecars of all versions of a service, as people name them. */
export function sidecarsOf(service: string): string {
  return `${service}-${SIDECAR_SUFFIX}`;
}

/** Instance ids: "orders-1-sidecar". */
export const SIDECAR_SUFFIX = "sidecar";

/** "orders-1-sidecar" -> "orders-1" */
export function besideOf(id: string): string {
  return id.slice(0, -SIDECAR_SUFFIX.length - 1);
}

/** What an application gets so that what it calls goes through its sidecar. `own`: the host's environment, whose exceptions stay. */
export function sidecarEnvironment({ outbound, dns }: SidecarPorts, sidecar: Sidecar): Record<string, string> {
  const at = `127.0.0.1:${outbound}`;
  const proxy = `http://${at}`;
  const direct = "localhost,127.0.0.1,::1";
  return {
    WEFT_SIDECAR: at,
    HTTP_PROXY: proxy,
    http_proxy: proxy,
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
    NO_PROXY: direct,
    no_proxy: direct,
    ...(sidecar.dns && { WEFT_DNS: `127.0.0.1:${dns}` }),
  };
}
