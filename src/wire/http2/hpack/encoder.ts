import { WeftError } from "../../../core/errors.ts";
import type { Head } from "../../head.ts";
import { STATIC_NAMES, STATIC_TABLE } from "./static-table.ts";

/**
 * Encodes heads as header blocks that refer to no dynamic table: the same head gives the same bytes on every connection, so that
 * they are made once and cached in `head.h2Bytes`. Names come from the static table; strings are not Huffman-coded, for a block that
 * is copied from a cache costs us nothing either way and a peer reads it faster.
 *
 * Values that may be secrets (authorization, cookie, proxy-authorization, set-cookie) are sent as never-indexed literals, which
 * tells every hop to keep them out of compression state. Source: RFC 7541 section 7.1.3.
 */
export function encodeHead(head: Head): Uint8Array {
  const cached = head.h2Bytes;
  if (cached !== null) return cached;
  const bytes = encode(head, head.status);
  head.h2Bytes = bytes;
  return bytes;
}

/** As encodeHead, with another status, and not cached. */
export function encodeHeadAs(head: Head, status: number): Uint8Array {
  return encode(head, status);
}

/** Most bytes that `fields` can take as a block. */
export function fieldsBound(fields: readonly string[]): number {
  let bytes = 0;
  // Of each pair: a byte, and two lengths of up to 6 bytes.
  for (let i = 0; i < fields.length; i++) bytes += fields[i].length + 7;
  return bytes;
}

/**
 * Writes `fields` (flat) at `at` and returns where they end. The caller has made fieldsBound(fields) bytes of room.
 * A name or value that must not be sent throws WeftError("invalid_argument", reason "INVALID_HEADER").
 */
export function writeFields(out: Uint8Array, at: number, fields: readonly string[]): number {
  let end = at;
  for (let i = 0; i < fields.length; i += 2) end = writeField(out, end, fields[i], fields[i + 1]);
  return end;
}

function encode(head: Head, status: number): Uint8Array {
  const pseudo: string[] = [];
  if (status !== 0) pseudo.push(":status", String(status));
  else if (head.method !== "") {
    const extended = head.protocol !== "";
    const tunnel = head.method === "CONNECT" && !extended;
    pseudo.push(":method", extended ? "CONNECT" : head.method);
    if (!tunnel) pseudo.push(":scheme", head.scheme || "http", ":path", head.path);
    // A Host field says the same to a server; it is never made up.
    if (head.authority !== "") pseudo.push(":authority", head.authority);
    if (extended) pseudo.push(":protocol", head.protocol);
  }
  const out = Buffer.allocUnsafe(fieldsBound(pseudo) + fieldsBound(head.fields));
  const end = writeFields(out, writeFields(out, 0, pseudo), head.fields);
  return Buffer.from(out.subarray(0, end));
}

function writeField(out: Uint8Array, at: number, name: string, value: string): number {
  const index = STATIC_NAMES.get(name) ?? 0;
  if (index !== 0 && index <= LAST_WITH_VALUE) {
    for (let i = index; i <= LAST_WITH_VALUE && STATIC_TABLE[i].name === name; i++) {
      if (STATIC_TABLE[i].value !== value) continue;
      out[at] = 0x80 | i;
      return at + 1;
    }
  }
  const pattern = index !== 0 && NEVER_INDEXED.has(index) ? 0x10 : 0x00;
  let end: number;
  if (index === 0) {
    out[at] = pattern;
    end = writeName(out, at + 1, name);
  } else {
    end = writeInteger(out, at, pattern, 0x0f, index);
  }
  return writeValue(out, end, name, value);
}

function writeName(out: Uint8Array, at: number, name: string): number {
  const start = writeInteger(out, at, 0, 0x7f, name.length);
  const length = name.length;
  for (let i = 0; i < length; i++) {
    const c = name.charCodeAt(i);
    // Upper case, white space, controls and what is not ASCII; finer faults are the peer's to find.
    if (c <= 0x20 || c >= 0x7f || (c >= 0x41 && c <= 0x5a) || (c === 0x3a && i > 0)) throw invalid(name, "name");
    out[start + i] = c;
  }
  if (length === 0) throw invalid(name, "name");
  return start + length;
}

function writeValue(out: Uint8Array, at: number, name: string, value: string): number {
  const length = value.length;
  const start = writeInteger(out, at, 0, 0x7f, length);
  for (let i = 0; i < length; i++) {
    const c = value.charCodeAt(i);
    if ((c < 0x20 || c > 0x7e) && !((c >= 0x80 && c <= 0xff) || c === 9)) throw invalid(name, "value");
    out[start + i] = c;
  }
  if (length > 0 && (value.charCodeAt(0) <= 0x20 || value.charCodeAt(length - 1) <= 0x20)) throw invalid(name, "value");
  return start + length;
}

/** Source: RFC 7541 section 5.1. */
function writeInteger(out: Uint8Array, at: number, pattern: number, mask: number, value: number): number {
  if (value < mask) {
    out[at] = pattern | value;
    return at + 1;
  }
  out[at++] = pattern | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    out[at++] = 0x80 | (rest & 0x7f);
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

function invalid(name: string, part: string): WeftError {
  return new WeftError(
    "invalid_argument",
    `the ${part} of header field ${JSON.stringify(name)} has characters that HTTP does not allow; encode it (binary values belong in a "-bin" field, base64)`,
    { reason: "INVALID_HEADER" },
  );
}

/** The static table's last entry that has a value is "accept-encoding: gzip, deflate". */
const LAST_WITH_VALUE = 16;
const NEVER_INDEXED = new Set(
  ["authorization", "cookie", "proxy-authorization", "set-cookie"].map((name) => STATIC_NAMES.get(name) as number),
);
