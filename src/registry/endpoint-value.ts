import type { Endpoint, Health } from "../core/endpoint.ts";
import { assertEndpoint, assertHealth, assertTtl } from "./validate.ts";

/** What is kept of an endpoint in a place that several control planes see. */
export interface EndpointValue {
  /** As it was registered; its `health` is its owner's word. */
  readonly endpoint: Endpoint;
  /** What active checks found. */
  readonly check: Health;
  /** Names one registration: who shows it may renew and release. "": what others than weft put there, which is only read. */
  readonly owner: string;
  /** Infinity: it never ends. */
  readonly ttlMs: number;
}

/** One whose lease is held in the memory of a control plane. */
export interface EndpointEntry extends EndpointValue {
  /** Names the run of that control plane. */
  readonly plane: string;
}

/** What consumers see of it. */
export function visibleOf({ endpoint, check }: EndpointValue): Endpoint {
  const health = endpoint.health === "draining" ? "draining" : check === "unhealthy" ? "unhealthy" : endpoint.health;
  return health === endpoint.health ? endpoint : { ...endpoint, health };
}

export function encodeEndpointEntry({ endpoint, check, owner, ttlMs, plane }: EndpointEntry): Uint8Array {
  return Buffer.from(JSON.stringify({ endpoint, check, owner, ttlMs: Number.isFinite(ttlMs) ? ttlMs : null, plane }));
}

/** Throws for what is none: anybody who may write there can have written it. Fields that are not known are left out. */
export function decodeEndpointEntry(bytes: Uint8Array): EndpointEntry {
  if (bytes.length > MAX_BYTES) throw new Error(`${bytes.length} bytes, of which at most ${MAX_BYTES} are read`);
  const { endpoint: given, check, owner, ttlMs: ttl, plane } = JSON.parse(Buffer.from(bytes).toString("utf8"));
  const { id, service, host, port, version, zone, weight, protocol, health, metadata, identity } = given;
  const endpoint: Endpoint = { id, service, host, port, version, zone, weight, protocol, health, metadata };
  assertEndpoint(endpoint);
  assertHealth(check);
  const ttlMs = ttl === null ? Number.POSITIVE_INFINITY : ttl;
  if (typeof ttlMs !== "number") throw new Error("ttlMs is no number");
  assertTtl(ttlMs);
  if (typeof owner !== "string" || owner.length > 64) throw new Error("owner is no short text");
  if (typeof plane !== "string" || plane.length > 64) throw new Error("plane is no short text");
  if (identity === undefined) return { endpoint, check, owner, ttlMs, plane };
  if (typeof identity !== "string" || identity.length > 2_048) throw new Error("identity is no short text");
  return { endpoint: { ...endpoint, identity }, check, owner, ttlMs, plane };
}

/** More than the largest endpoint that may be registered. */
const MAX_BYTES = 65_536;
