import { hash } from "node:crypto";
import { cookieOf, fieldOf } from "../../core/fields.ts";
import type { CallRequest } from "../call.ts";
import type { CallState } from "../machine/call-state.ts";
import { claimOf } from "../machine/principal.ts";
import { decoded, knownFields, queryValue, sentBy } from "../machine/request-values.ts";
import { pathOf } from "../route/route-table.ts";
import { addressPrefix } from "./address-prefix.ts";
import type { RateLimitKey } from "./rate-limit-spec.ts";

/** The key of a call: what shares its count. */
export type KeyReader = (call: CallState) => string;

/**
 * Compiles what shares a count. Keys are short, hold no control character but the one between their parts, and no secret: values that may be one
 * (authorization, cookies, keys) are told by their digest.
 */
export function compileKey(spec: RateLimitKey | readonly RateLimitKey[] | undefined): KeyReader {
  const keys =
    spec === undefined ? [] : Array.isArray(spec) ? (spec as readonly RateLimitKey[]) : [spec as RateLimitKey];
  const readers = keys.filter(({ by }) => by !== "all").map((key) => reader(key));
  if (readers.length === 0) return () => "";
  if (readers.length === 1) return readers[0];
  return (call) => {
    let key = readers[0](call);
    for (let i = 1; i < readers.length; i++) key += PART_END + readers[i](call);
    return key;
  };
}

/** The key that calls with these values have, one for each part of the key. */
export function keyOfValues(
  spec: RateLimitKey | readonly RateLimitKey[] | undefined,
  value: string | readonly string[],
): string {
  const keys =
    spec === undefined ? [] : Array.isArray(spec) ? (spec as readonly RateLimitKey[]) : [spec as RateLimitKey];
  const values = typeof value === "string" ? [value] : value;
  return keys
    .map((key, i) => (key.by === "all" ? "" : told(key, values[i] ?? "")))
    .filter((_, i) => keys[i].by !== "all")
    .join(PART_END);
}

/** For people: "user-9", "10.1.2.0/24 / gold". */
export function keyText(key: string): string {
  return key.includes(PART_END) ? key.replaceAll(PART_END, " / ") : key;
}

function reader(key: RateLimitKey): KeyReader {
  const read = valueReader(key);
  return isSecret(key) ? (call) => digest(read(call)) : (call) => bounded(read(call));
}

function valueReader(key: RateLimitKey): KeyReader {
  switch (key.by) {
    case "address": {
      const { ipv4Prefix = 32, ipv6Prefix = 64 } = key;
      return ({ caller }) => addressPrefix(caller.peerAddress, ipv4Prefix, ipv6Prefix);
    }
    case "identity":
      return ({ caller }) => caller.peerIdentity;
    case "subject":
      return ({ principal }) => principal.subject;
    case "claim": {
      const claim = key.claim ?? "";
      return ({ principal }) => claimText(claimOf(principal.claims, claim));
    }
    case "header": {
      const name = (key.header ?? "").toLowerCase();
      return (call) => fieldOf(knownFields(call), name) ?? "";
    }
    case "cookie": {
      const name = key.cookie ?? "";
      return (call) => cookieOf(sentBy(call).fields, name) ?? "";
    }
    case "query": {
      const name = key.query ?? "";
      return (call) => queryValue(sentBy(call), name);
    }
    case "path":
      return (call) => segmentOf(sentBy(call), key.segment ?? 0);
    case "field": {
      const field = key.field ?? "";
      return ({ caller }) => caller.messageField?.(field) ?? "";
    }
    default:
      return () => "";
  }
}

function segmentOf(request: CallRequest, segment: number): string {
  const path = pathOf(request);
  return decoded(segment === 0 ? path : (path.split("/", segment + 1)[segment] ?? ""));
}

function claimText(value: unknown): string {
  if (Array.isArray(value)) return value.filter((one) => typeof one === "string").join(",");
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function told(key: RateLimitKey, value: string): string {
  if (key.by === "address") return addressPrefix(value, key.ipv4Prefix ?? 32, key.ipv6Prefix ?? 64);
  return isSecret(key) ? digest(value) : bounded(value);
}

/** A caller chooses what stands in its requests; a key is kept. */
function bounded(value: string): string {
  if (value.length > MAX_LENGTH) value = `${value.slice(0, KEPT_LENGTH)}~${digest(value)}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that must not come in
  return CONTROL.test(value) ? value.replace(/[\u0000-\u001f]/g, "?") : value;
}

function digest(value: string): string {
  return value === "" ? "" : hash("sha256", value, "hex").slice(0, DIGEST_LENGTH);
}

function isSecret({ by, header = "", query = "", field = "" }: RateLimitKey): boolean {
  if (by === "cookie") return true;
  const name = by === "header" ? header : by === "query" ? query : by === "field" ? field : "";
  return SECRET.test(name);
}

const SECRET = /auth|cookie|token|key|secret|session|password|credential|signature/i;
const PART_END = "\u0001";
const MAX_LENGTH = 256;
const KEPT_LENGTH = 200;
/** 64 bits. */
const DIGEST_LENGTH = 16;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that must not come in
const CONTROL = /[\u0000-\u001f]/;
