import { createHash } from "node:crypto";
import { isIP } from "node:net";
import type { Endpoint } from "../core/endpoint.ts";
import { addressBytes } from "../core/network.ts";
import { nameKey } from "../wire/dns/name.ts";
import { addressData, type RecordData, srvData, type WireName, wireName } from "../wire/dns/record.ts";

/** What is known of one name: records by type, in turns. A name without any has no data of its own; it is there for those below it (RFC 8020), or for its unhealthy endpoints. */
export interface NameNode {
  readonly a: RecordData[];
  readonly aaaa: RecordData[];
  readonly srv: ServiceRecord[];
  /** How often it was asked for: where the next answer begins. */
  turn: number;
}

export interface ServiceRecord {
  readonly data: RecordData;
  readonly target: WireName;
  /** Null: the endpoint's host is a name, for which others know the addresses. */
  readonly address: RecordData | null;
}

/**
 * The names of one service below `domain`, by what stands before its own name ("" for itself):
 *
 *     products.weft.                       A AAAA SRV     every healthy endpoint
 *     v2.products.weft.                    A AAAA SRV     those of one version
 *     _grpc._tcp.products.weft.            SRV            those that speak gRPC (h2c, h2); _http: HTTP in the clear (http1, h2c); _https: over TLS (h2)
 *     _grpc._tcp.v2.products.weft.         SRV
 *     products-2.endpoint.products.weft.   A AAAA SRV     one endpoint, the target of SRV records
 *
 * Endpoints that are unhealthy or draining have names and no records. `zone`: SRV records of endpoints in this zone go first (priority 0; others 1).
 */
export function serviceNames(
  service: string,
  domain: string,
  endpoints: Iterable<Endpoint>,
  zone: string,
): ReadonlyMap<string, NameNode> {
  const nodes = new Map<string, NameNode>();
  const all = [...endpoints];
  const weightOf = weightScale(all);
  for (const endpoint of all) {
    const own = ["", ...(endpoint.version === "" ? [] : [nameKey(endpoint.version)])];
    for (const name of own) nodeOf(nodes, name);
    const label = endpointLabel(endpoint.id);
    const host = nodeOf(nodes, `${label}.endpoint`);
    if (endpoint.health !== "healthy") continue;
    const bytes = isIP(endpoint.host) === 0 ? null : addressBytes(endpoint.host);
    const address = bytes === null ? null : addressData(bytes);
    const target = targetName(endpoint, address, `${label}.endpoint.${service}.${domain}`);
    if (target === null) continue;
    const priority = zone === "" || endpoint.zone === zone ? 0 : 1;
    const data = srvData(priority, weightOf(endpoint), endpoint.port, target);
    const record: ServiceRecord = { data, target, address };
    for (const name of own) {
      const node = nodeOf(nodes, name);
      if (address !== null) addAddress(node, address);
      node.srv.push(record);
      const below = name === "" ? "" : `.${name}`;
      for (const kind of SERVICE_KINDS[endpoint.protocol]) nodeOf(nodes, `${kind}._tcp${below}`).srv.push(record);
    }
    host.srv.push(record);
    if (address !== null) addAddress(host, address);
  }
  return nodes;
}

const SERVICE_KINDS: Readonly<Record<Endpoint["protocol"], readonly string[]>> = {
  http1: ["_http"],
  h2c: ["_http", "_grpc"],
  h2: ["_https", "_grpc"],
  // What their bytes mean, only the service's own name says.
  tcp: [],
  udp: [],
};

/** The node of a name, made with all those above it. */
function nodeOf(nodes: Map<string, NameNode>, name: string): NameNode {
  const known = nodes.get(name);
  if (known !== undefined) return known;
  const node: NameNode = { a: [], aaaa: [], srv: [], turn: 0 };
  nodes.set(name, node);
  const dot = name.indexOf(".");
  if (dot >= 0) nodeOf(nodes, name.slice(dot + 1));
  else if (name !== "") nodeOf(nodes, "");
  return node;
}

/** Several endpoints at one address are one record (RFC 2181 section 5). */
function addAddress(node: NameNode, address: RecordData): void {
  const set = address.bytes.length === 4 ? node.a : node.aaaa;
  const same = (other: RecordData): boolean => Buffer.compare(other.bytes, address.bytes) === 0;
  if (!set.some(same)) set.push(address);
}

/** Null: nobody could be sent there by DNS (a host with a zone, "fe80::1%eth0"; a name that no longer fits). */
function targetName(endpoint: Endpoint, address: RecordData | null, own: string): WireName | null {
  if (address === null && endpoint.host.includes("%")) return null;
  try {
    return wireName(address === null ? `${endpoint.host.replace(/\.$/, "")}.` : own);
  } catch {
    return null;
  }
}

/** An endpoint's id as a label: as it is when it is one, otherwise what is left of it with a digest, so that two never share one. */
function endpointLabel(id: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(id)) return id;
  const plain = id
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "")
    .slice(0, 50);
  return `${plain}-${createHash("sha256").update(id).digest("hex").slice(0, 8)}`.replace(/^-/, "e-");
}

/** Weights as SRV has them, whole numbers from 1 to 65,535: as they are when they are such, otherwise in proportion to the largest as 10,000. */
function weightScale(endpoints: readonly Endpoint[]): (endpoint: Endpoint) => number {
  if (endpoints.every(({ weight }) => Number.isInteger(weight) && weight <= 65_535)) return ({ weight }) => weight;
  const largest = endpoints.reduce((most, { weight }) => Math.max(most, weight), 0);
  return ({ weight }) => Math.max(1, Math.round((10_000 * weight) / largest));
}
