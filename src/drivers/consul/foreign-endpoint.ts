import type { Endpoint, Health, Protocol } from "../../core/endpoint.ts";
import { encodeTags, TAGS_METADATA } from "../../core/endpoint-tags.ts";
import type { EndpointEntry } from "../../registry/endpoint-backend.ts";
import { assertEndpoint } from "../../registry/validate.ts";
import { arrayOf, objectOf } from "./kv-space.ts";

/**
 * What others registered in Consul, as an entry that is only read: one instance of an answer of /v1/health/service/NAME. Throws, saying why, for what cannot be an endpoint.
 *
 *     id        NODE/SERVICE-ID                     port      the service's
 *     host      the service's address, else the     version   meta "version"
 *               node's                              zone      meta "zone", else the locality of service or node
 *     weight    of its state (passing or warning)   protocol  meta "protocol", else a tag of that name, else http1
 *     metadata  the rest of meta; tags
 *     health    unhealthy when one of its checks, or of its node's, is critical or in maintenance, or warns and has no weight then
 */
export function foreignEntryOf(given: unknown): EndpointEntry {
  const instance = objectOf(given);
  const node = objectOf(instance.Node);
  const service = objectOf(instance.Service);
  const meta = textsOf(service.Meta);
  const tags = arrayOf(service.Tags).filter((tag) => typeof tag === "string");
  const worst = worstOf(arrayOf(instance.Checks).map((check) => objectOf(check).Status));
  const weights = objectOf(service.Weights ?? {});
  const weight = Number((worst === "warning" ? weights.Warning : weights.Passing) ?? 1);
  const check: Health = worst === "critical" || weight <= 0 ? "unhealthy" : "healthy";
  const endpoint: Endpoint = {
    id: `${node.Node}/${service.ID}`,
    service: String(service.Service),
    host: String(service.Address || node.Address),
    port: Number(service.Port),
    version: token(meta.version),
    zone: token(meta.zone ?? zoneOf(service) ?? zoneOf(node)),
    weight: weight > 0 ? Math.min(weight, 10_000) : 1,
    protocol: protocolOf(meta.protocol) ?? tags.map(protocolOf).find((named) => named !== null) ?? "http1",
    health: "healthy",
    metadata: metadataOf(meta, tags),
  };
  assertEndpoint(endpoint);
  return { endpoint, check, owner: "", plane: "", ttlMs: Number.POSITIVE_INFINITY };
}

function worstOf(statuses: readonly unknown[]): "passing" | "warning" | "critical" {
  if (statuses.some((status) => status !== "passing" && status !== "warning")) return "critical";
  return statuses.includes("warning") ? "warning" : "passing";
}

function zoneOf(of: Readonly<Record<string, unknown>>): string | undefined {
  if (typeof of.Locality !== "object" || of.Locality === null) return undefined;
  const { Zone } = objectOf(of.Locality);
  return typeof Zone === "string" && Zone !== "" ? Zone : undefined;
}

/** Consul's words for protocols, and weft's. */
function protocolOf(word: string | undefined): Protocol | null {
  switch (word) {
    case "h2c":
    case "grpc":
    case "http2":
      return "h2c";
    case "h2":
    case "tcp":
    case "udp":
    case "http1":
      return word;
    case "http":
      return "http1";
    default:
      return null;
  }
}

/** What is no version or zone here is left out. */
function token(text: string | undefined): string {
  return text !== undefined && /^[A-Za-z0-9._-]{1,64}$/.test(text) ? text : "";
}

function textsOf(given: unknown): Record<string, string> {
  const texts: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(objectOf(given ?? {}))) if (typeof value === "string") texts[name] = value;
  return texts;
}

/** What of meta is a field of the endpoint's; tags are Consul's tags. */
const OWN: ReadonlySet<string> = new Set(["version", "zone", "protocol", TAGS_METADATA]);

/** As much as an endpoint may have. */
function metadataOf(meta: Readonly<Record<string, string>>, tags: readonly string[]): Record<string, string> {
  const metadata: Record<string, string> = {};
  const all = Object.entries(meta).filter(([name]) => !OWN.has(name));
  if (tags.length > 0) all.unshift([TAGS_METADATA, encodeTags(tags)]);
  let left = 8_192;
  for (const [name, value] of all.slice(0, 64)) {
    const bytes = Buffer.byteLength(value);
    if (!/^[A-Za-z0-9._/-]{1,63}$/.test(name) || name === "__proto__" || bytes > 1_024 || name.length + bytes > left)
      continue;
    left -= name.length + bytes;
    metadata[name] = value;
  }
  return metadata;
}
