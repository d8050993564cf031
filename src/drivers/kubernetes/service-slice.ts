import type { Endpoint, Health, Protocol } from "../../core/endpoint.ts";
import { assertEndpoint } from "../../registry/validate.ts";
import { type ApiObject, isRecord } from "./api-resource.ts";
import { SERVICE_NAME } from "./weft-slice.ts";

/**
 * The endpoints of a slice that others made, as Kubernetes does for each Service. Of several ports one is the service's: the one that the label weftmesh.dev/port names (a name or a number), else the one
 * whose protocol says most (h2c, http1, h2, tcp, udp). Kubernetes copies a Service's labels to its slices, so these labels are written on the Service:
 *
 *     weftmesh.dev/port: grpc        weftmesh.dev/protocol: h2c        weftmesh.dev/service: products        weftmesh.dev/version: v2
 *
 * Throws for what cannot be an endpoint.
 */
export function readServiceSlice({ metadata, content }: ApiObject): Endpoint[] {
  const { labels } = metadata;
  const service = labels["weftmesh.dev/service"] ?? labels[SERVICE_NAME];
  // Without a service's name it is nobody's; without ports, or with all of them, it cannot be called.
  const port = portOf(content.ports, labels);
  if (service === undefined || port === null || content.addressType === "FQDN") return [];
  const found: Endpoint[] = [];
  for (const given of Array.isArray(content.endpoints) ? content.endpoints : []) {
    const host: unknown = isRecord(given) && Array.isArray(given.addresses) ? given.addresses[0] : undefined;
    if (!isRecord(given) || typeof host !== "string") throw new Error("an endpoint without an address");
    const endpoint: Endpoint = {
      id: `${service}/${host.includes(":") ? `[${host}]` : host}:${port.port}`,
      service,
      host,
      port: port.port,
      version: labels["weftmesh.dev/version"] ?? "",
      zone: zoneOf(given.zone),
      weight: 1,
      protocol: port.protocol,
      health: healthOf(given.conditions),
      metadata: metadataOf(given),
    };
    assertEndpoint(endpoint);
    found.push(endpoint);
  }
  return found;
}

interface SlicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** Null: none can be called. */
function portOf(given: unknown, labels: Readonly<Record<string, string>>): SlicePort | null {
  const asked = labels["weftmesh.dev/protocol"];
  const wanted = labels["weftmesh.dev/port"];
  const ports: SlicePort[] = [];
  for (const value of Array.isArray(given) ? given : []) {
    if (!isRecord(value) || typeof value.port !== "number") continue; // null: all ports
    const name = typeof value.name === "string" ? value.name : "";
    const carrier = value.protocol ?? "TCP";
    if (carrier !== "TCP" && carrier !== "UDP") continue; // SCTP
    if (wanted !== undefined && wanted !== name && wanted !== String(value.port)) continue;
    const app = typeof value.appProtocol === "string" ? value.appProtocol : "";
    const protocol = carrier === "UDP" ? "udp" : isProtocol(asked) ? asked : protocolOf(app, name);
    ports.push({ name, port: value.port, protocol });
  }
  if (ports.length === 0) return null;
  return ports.reduce((best, port) => (isBefore(port, best) ? port : best));
}

function isBefore(a: SlicePort, b: SlicePort): boolean {
  const rank = RANKS.indexOf(a.protocol) - RANKS.indexOf(b.protocol);
  return rank !== 0 ? rank < 0 : a.name !== b.name ? a.name < b.name : a.port < b.port;
}

/** By appProtocol, else by the beginning of the port's name ("grpc-web", "http-admin"); without either it speaks HTTP/1.1, as the Gateway API has it. */
function protocolOf(appProtocol: string, name: string): Protocol {
  const word = (appProtocol === "" ? name : appProtocol).toLowerCase().replace(/^kubernetes\.io\//, "");
  const [first] = word.split("-");
  return PROTOCOLS.get(first) ?? (appProtocol === "" ? "http1" : "tcp");
}

function healthOf(conditions: unknown): Health {
  const { ready, serving, terminating } = isRecord(conditions) ? conditions : {};
  // What is not known is so: "consumers should interpret this unknown state as ready".
  const isReady = typeof ready === "boolean" ? ready : true;
  const isServing = typeof serving === "boolean" ? serving : isReady;
  if (terminating === true) return isServing ? "draining" : "unhealthy";
  return isReady ? "healthy" : "unhealthy";
}

function zoneOf(zone: unknown): string {
  return typeof zone === "string" && zone.length <= 64 && /^[A-Za-z0-9._-]+$/.test(zone) ? zone : "";
}

/** Whom people look for when something is wrong. */
function metadataOf({ nodeName, targetRef }: Record<string, unknown>): Record<string, string> {
  const pod = isRecord(targetRef) && targetRef.kind === "Pod" ? targetRef.name : undefined;
  return {
    ...(typeof pod === "string" && { "kubernetes.io/pod": pod }),
    ...(typeof nodeName === "string" && { "kubernetes.io/node": nodeName }),
  };
}

function isProtocol(value: string | undefined): value is Protocol {
  return value !== undefined && (RANKS as readonly string[]).includes(value);
}

const RANKS = ["h2c", "http1", "h2", "tcp", "udp"] as const;
const PROTOCOLS = new Map<string, Protocol>([
  ["grpc", "h2c"],
  ["h2c", "h2c"],
  ["http2", "h2c"],
  ["http", "http1"],
  ["http1", "http1"],
  ["ws", "http1"],
  ["https", "h2"],
  ["h2", "h2"],
  ["wss", "h2"],
  ["grpcs", "h2"],
  ["tcp", "tcp"],
  ["tls", "tcp"],
]);
