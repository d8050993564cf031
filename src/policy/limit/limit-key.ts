import { hash } from "node:crypto";
import type { CallRequest } from "../call.ts";
import type { CallState } from "../machine/call-state.ts";
import { normalPath } from "../route/normal-path.ts";
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
      const path = (key.claim ?? "").split(".");
      return ({ principal }) => claimText(principal.claims, path);
    }
    case "header": {
      const name = (key.header ?? "").toLowerCase();
      return (call) => fieldOf(sentBy(call).fields, name);
    }
    case "cookie":
      return (call) => cookieOf(sentBy(call).fields, key.cookie ?? "");
    case "query":
      return (call) => queryOf(sentBy(call).path, key.query ?? "");
    case "path":
      return (call) => pathOf(sentBy(call).path, key.segment ?? 0);
    case "field": {
      const field = key.field ?? "";
      return ({ caller }) => caller.messageField?.(field) ?? "";
    }
    default:
      return () => "";
  }
}

/** The request as the caller sent it, when the gateway made another of it. */
function sentBy({ caller, request }: CallState): CallRequest {
  return caller.asSent ?? request;
}

function fieldOf(fields: readonly string[], name: string): string {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return "";
}

function cookieOf(fields: readonly string[], name: string): string {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "cookie") continue;
    for (const pair of fields[i + 1].split(";")) {
      const equals = pair.indexOf("=");
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
  }
  return "";
}

/** Decoded, so that another spelling of a value is no other key. */
function queryOf(path: string, name: string): string {
  const mark = path.indexOf("?");
  if (mark < 0) return "";
  for (const pair of path.slice(mark + 1).split("&")) {
    const equals = pair.indexOf("=");
    const given = equals < 0 ? pair : pair.slice(0, equals);
    if (given === name || decoded(given) === name) return equals < 0 ? "" : decoded(pair.slice(equals + 1));
  }
  return "";
}

function pathOf(path: string, segment: number): string {
  const mark = path.indexOf("?");
  const bare = normalPath(mark < 0 ? path : path.slice(0, mark));
  return segment === 0 ? decoded(bare) : decoded(bare.split("/", segment + 1)[segment] ?? "");
}

function decoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

function claimText(claims: Readonly<Record<string, unknown>>, path: readonly string[]): string {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return "";
    value = (value as Record<string, unknown>)[name];
  }
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

function isSecret({ by, header = "" }: RateLimitKey): boolean {
  return by === "cookie" || (by === "header" && SECRET.test(header));
}

const SECRET = /auth|cookie|token|key|secret|session|password|credential|signature/i;
const PART_END = "\u0001";
const MAX_LENGTH = 256;
const KEPT_LENGTH = 200;
/** 64 bits. */
const DIGEST_LENGTH = 16;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that must not come in
const CONTROL = /[\u0000-\u001f]/;
