import type { Endpoint, Health, Protocol } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";

/** What one registration may hold. Documented in docs/registry.md. */
const registryLimits = {
  maxIdLength: 128,
  maxVersionLength: 64,
  maxZoneLength: 64,
  /** Names of at most 63 characters, values of at most 1,024 bytes, together no more than 8,192 bytes. */
  maxMetadataEntries: 64,
  maxMetadataNameLength: 63,
  maxMetadataValueBytes: 1_024,
  maxMetadataBytes: 8_192,
  maxWeight: 10_000,
  minTtlMs: 100,
  maxTtlMs: 3_600_000,
} as const;

/** Throws `invalid_argument`, naming the field (`place.field`), unless every part of the endpoint is well-formed and within limits. */
export function assertEndpoint(endpoint: Endpoint): void {
  assertId(endpoint.id);
  assertServiceName(endpoint.service);
  assertHost(endpoint.host);
  if (!Number.isInteger(endpoint.port) || endpoint.port < 1 || endpoint.port > 65_535) {
    throw invalid("port", `must be an integer from 1 to 65535, not ${show(endpoint.port)}`);
  }
  assertLabel("version", endpoint.version, registryLimits.maxVersionLength);
  assertLabel("zone", endpoint.zone, registryLimits.maxZoneLength);
  if (!(endpoint.weight > 0 && endpoint.weight <= registryLimits.maxWeight)) {
    throw invalid("weight", `must be above 0 and at most ${registryLimits.maxWeight}, not ${show(endpoint.weight)}`);
  }
  if (!isProtocol(endpoint.protocol))
    throw invalid("protocol", `must be h2c, h2, http1, tcp or udp, not ${show(endpoint.protocol)}`);
  assertHealth(endpoint.health);
  assertMetadata(endpoint.metadata);
}

/** Lower-case DNS label (RFC 1123): letters, digits and inner hyphens, 1 to 63 characters, so that every service can have a DNS name. */
export function assertServiceName(name: string, field = "service"): void {
  if (isServiceName(name)) return;
  throw invalid(
    field,
    `must be a DNS label (lower-case letters, digits and inner hyphens, at most 63 characters), not ${show(name)}`,
  );
}

export function isServiceName(name: string): boolean {
  return typeof name === "string" && LABEL.test(name);
}

/** Full name of a gRPC service ("orders.v1.Orders"), which may stand for the services that serve it; registry names have no dots. */
export const CONTRACT_NAME = /^(?=.{1,200}$)[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$/;

/** Unique name of an instance: "products-2", "10.0.0.6:9001". */
function assertId(id: string): void {
  if (typeof id === "string" && id.length <= registryLimits.maxIdLength && ID.test(id)) return;
  throw invalid(
    "id",
    `must be 1 to ${registryLimits.maxIdLength} letters, digits or any of . _ : @ / [ ] -, beginning with a letter, digit or [, not ${show(id)}`,
  );
}

/** An IPv4 or IPv6 address without brackets, or a DNS name. */
function assertHost(host: string): void {
  if (typeof host === "string" && host.length <= 253 && (isIpv4(host) || isIpv6(host) || isDnsName(host))) return;
  throw invalid("host", `must be an IP address (no brackets) or a DNS name, not ${show(host)}`);
}

export function assertHealth(health: Health): void {
  if (health === "healthy" || health === "unhealthy" || health === "draining") return;
  throw invalid("health", `must be healthy, unhealthy or draining, not ${show(health)}`);
}

/** Lease periods, ms; Infinity is for endpoints that a person lists. */
export function assertTtl(ttlMs: number): void {
  if (ttlMs === Number.POSITIVE_INFINITY) return;
  if (ttlMs >= registryLimits.minTtlMs && ttlMs <= registryLimits.maxTtlMs) return;
  throw invalid("ttlMs", `must be from ${registryLimits.minTtlMs} to ${registryLimits.maxTtlMs}, not ${show(ttlMs)}`);
}

function assertLabel(field: string, value: string, maxLength: number): void {
  if (typeof value === "string" && value.length <= maxLength && (value === "" || TOKEN.test(value))) return;
  throw invalid(field, `must be empty or at most ${maxLength} letters, digits or any of . _ -, not ${show(value)}`);
}

function assertMetadata(metadata: Readonly<Record<string, string>>): void {
  if (typeof metadata !== "object" || metadata === null)
    throw invalid("metadata", `must be a map of strings, not ${show(metadata)}`);
  const names = Object.keys(metadata);
  if (names.length > registryLimits.maxMetadataEntries) {
    throw invalid("metadata", `has ${names.length} entries; at most ${registryLimits.maxMetadataEntries} are allowed`);
  }
  let total = 0;
  for (const name of names) {
    const value: unknown = metadata[name];
    if (name.length > registryLimits.maxMetadataNameLength || !METADATA_NAME.test(name)) {
      throw invalid(
        "metadata",
        `the name ${show(name)} must be 1 to ${registryLimits.maxMetadataNameLength} letters, digits or any of . _ / -`,
      );
    }
    if (typeof value !== "string") throw invalid(`metadata.${name}`, `must be a string, not ${show(value)}`);
    const bytes = Buffer.byteLength(value);
    if (bytes > registryLimits.maxMetadataValueBytes) {
      throw invalid(
        `metadata.${name}`,
        `has ${bytes} bytes; at most ${registryLimits.maxMetadataValueBytes} are allowed`,
      );
    }
    total += name.length + bytes;
  }
  if (total > registryLimits.maxMetadataBytes) {
    throw invalid("metadata", `has ${total} bytes; at most ${registryLimits.maxMetadataBytes} are allowed`);
  }
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ID = /^[A-Za-z0-9[][A-Za-z0-9._:@/[\]-]*$/;
const TOKEN = /^[A-Za-z0-9._-]+$/;
const METADATA_NAME = /^[A-Za-z0-9._/-]+$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const DNS_LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

function isProtocol(value: unknown): value is Protocol {
  return value === "h2c" || value === "h2" || value === "http1" || value === "tcp" || value === "udp";
}

function isIpv4(host: string): boolean {
  return IPV4.test(host);
}

/** RFC 4291 section 2.2, with an optional zone ("fe80::1%eth0"). */
function isIpv6(host: string): boolean {
  const address = host.replace(/%[A-Za-z0-9._-]{1,32}$/, "");
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(address) || !address.includes(":")) return false;
  const halves = address.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  const all = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  for (const [index, group] of all.entries()) {
    if (index === all.length - 1 && isIpv4(group)) groups += 2;
    else if (/^[0-9A-Fa-f]{1,4}$/.test(group)) groups++;
    else return false;
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

/** Labels of a host name. A name that looks like a broken IPv4 address (all labels numeric) is not one. */
function isDnsName(host: string): boolean {
  const labels = host.split(".");
  return labels.every((label) => DNS_LABEL.test(label)) && !labels.every((label) => /^\d+$/.test(label));
}

function show(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function invalid(field: string, problem: string): WeftError {
  return new WeftError("invalid_argument", `endpoint: ${field} ${problem}`, {
    reason: "INVALID_ENDPOINT",
    place: { field },
  });
}
