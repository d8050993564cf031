import { WeftError } from "../core/errors.ts";
import { doubles, floats, internals, signed, unsigned, words } from "./codec-cell.ts";
import type { UnknownField } from "./runtime.ts";
import { reserve, scratch } from "./scratch.ts";

/**
 * What compiled encoders call. Every function is told where, and gives back the position behind what it wrote; `field` names the field
 * in the error about a wrong value.
 */

/** Signed 32 bits as an unsigned varint of up to 5 bytes. */
export function writeVarint32(b: Uint8Array, p: number, value: number): number {
  while (value > 127 || value < 0) {
    b[p++] = (value & 127) | 128;
    value >>>= 7;
  }
  b[p++] = value;
  return p;
}

/** int32 and enums: negative numbers take 10 bytes. */
export function writeInt32(b: Uint8Array, p: number, value: number): number {
  return value >= 0 ? writeVarint32(b, p, value) : writeWords(b, p, value, -1);
}

function writeWords(b: Uint8Array, p: number, lo: number, hi: number): number {
  while (hi !== 0) {
    b[p++] = (lo & 127) | 128;
    lo = (lo >>> 7) | (hi << 25);
    hi >>>= 7;
  }
  return writeVarint32(b, p, lo);
}

export function writeInt64(b: Uint8Array, p: number, value: unknown, field: string): number {
  signed[0] = checkInt64(value, field);
  return words[1] === 0 ? writeVarint32(b, p, words[0]) : writeWords(b, p, words[0], words[1]);
}

export function writeUint64(b: Uint8Array, p: number, value: unknown, field: string): number {
  unsigned[0] = checkUint64(value, field);
  return words[1] === 0 ? writeVarint32(b, p, words[0]) : writeWords(b, p, words[0], words[1]);
}

export function writeSint64(b: Uint8Array, p: number, value: unknown, field: string): number {
  signed[0] = checkInt64(value, field);
  const sign = words[1] >> 31;
  return writeWords(b, p, (words[0] << 1) ^ sign, ((words[1] << 1) | (words[0] >>> 31)) ^ sign);
}

export function writeFixed32(b: Uint8Array, p: number, value: number): number {
  b[p] = value;
  b[p + 1] = value >>> 8;
  b[p + 2] = value >>> 16;
  b[p + 3] = value >>> 24;
  return p + 4;
}

export function writeFixed64(b: Uint8Array, p: number, value: unknown, field: string): number {
  unsigned[0] = checkUint64(value, field);
  return writeFixed32(b, writeFixed32(b, p, words[0]), words[1]);
}

export function writeSfixed64(b: Uint8Array, p: number, value: unknown, field: string): number {
  signed[0] = checkInt64(value, field);
  return writeFixed32(b, writeFixed32(b, p, words[0]), words[1]);
}

export function writeFloat(b: Uint8Array, p: number, value: unknown, field: string): number {
  if (typeof value !== "number") badValue(field, "a number", value);
  floats[0] = value;
  if (Number.isFinite(value) && !Number.isFinite(floats[0])) badValue(field, "a 32-bit float", value);
  return writeFixed32(b, p, words[0]);
}

export function writeDouble(b: Uint8Array, p: number, value: unknown, field: string): number {
  if (typeof value !== "number") badValue(field, "a number", value);
  doubles[0] = value;
  return writeFixed32(b, writeFixed32(b, p, words[0]), words[1]);
}

/** Length and text; makes room for them and for `slack` bytes more, so the caller reads `scratch.bytes` again. */
export function writeString(p: number, value: unknown, slack: number, field: string): number {
  if (typeof value !== "string") badValue(field, "a string", value);
  const length = value.length;
  // Three bytes a UTF-16 unit are always enough; for long text it pays to look.
  const room = p + 5 + (length < 4096 ? length * 3 : Buffer.byteLength(value)) + slack;
  if (room > scratch.bytes.length) reserve(room);
  const b = scratch.bytes;
  if (length <= 24) {
    let at = p + 1;
    let i = 0;
    for (; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 127) break;
      b[at++] = code;
    }
    if (i === length) {
      b[p] = length;
      return at;
    }
  }
  // The prefix is as wide as it is for ASCII; other text may need a wider one, and is moved then.
  const guess = length < 128 ? 1 : varintSize(length);
  const written = writeUtf8.call(b, value, p + guess, b.length - p - guess);
  return closeLength(p, guess, written);
}

export function writeBytes(p: number, value: unknown, slack: number, field: string): number {
  const bytes = Array.isArray(value) ? Uint8Array.from(value) : value;
  if (!(bytes instanceof Uint8Array)) badValue(field, "a Uint8Array", value);
  const room = p + 5 + bytes.length + slack;
  if (room > scratch.bytes.length) reserve(room);
  const at = writeVarint32(scratch.bytes, p, bytes.length);
  scratch.bytes.set(bytes, at);
  return at + bytes.length;
}

/** Fills in the length of what was written behind one byte at `p`, up to `end`; moves it when one byte is not enough. */
export function closeMessage(p: number, end: number): number {
  return closeLength(p, 1, end - p - 1);
}

function closeLength(p: number, guess: number, length: number): number {
  const size = length < 128 ? 1 : varintSize(length);
  if (size !== guess) {
    reserve(p + size + length);
    scratch.bytes.copyWithin(p + size, p + guess, p + guess + length);
  }
  return writeVarint32(scratch.bytes, p, length) + length;
}

export function writeUnknown(p: number, fields: readonly UnknownField[]): number {
  for (const { no, wireType, data } of fields) {
    reserve(p + 5 + data.length);
    p = writeVarint32(scratch.bytes, p, (no << 3) | wireType);
    scratch.bytes.set(data, p);
    p += data.length;
  }
  return p;
}

function varintSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

// --- checks --------------------------------------------------------------------------------------------------------

function checkInt64(value: unknown, field: string): bigint {
  const big = typeof value === "bigint" ? value : toBigInt(value, field, "a 64-bit integer");
  if (big > INT64_MAX || big < INT64_MIN) badValue(field, "a 64-bit integer", value);
  return big;
}

function checkUint64(value: unknown, field: string): bigint {
  const big = typeof value === "bigint" ? value : toBigInt(value, field, "an unsigned 64-bit integer");
  if (big > UINT64_MAX || big < 0n) badValue(field, "an unsigned 64-bit integer", value);
  return big;
}

function toBigInt(value: unknown, field: string, type: string): bigint {
  if ((typeof value === "number" && Number.isInteger(value)) || (typeof value === "string" && /^-?\d+$/.test(value)))
    return BigInt(value);
  return badValue(field, type, value);
}

/** Map keys are property names; this gives back what they stand for. */
export function intKey(key: string, field: string): number {
  const value = Number(key);
  return Number.isInteger(value) && key !== "" ? value : badValue(field, "an integer as its key", key);
}

export function boolKey(key: string, field: string): boolean {
  return key === "true" ? true : key === "false" ? false : badValue(field, '"true" or "false" as its key', key);
}

export function badValue(field: string, type: string, value: unknown): never {
  let shown =
    typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : typeof value === "object" ? "" : String(value);
  if (shown === "") shown = value === null ? "null" : Array.isArray(value) ? "an array" : "an object";
  throw new WeftError("invalid_argument", `${field} must be ${type}, not ${shown}`, {
    reason: "BAD_MESSAGE",
    place: { field },
  });
}

export function missing(field: string): never {
  throw new WeftError("invalid_argument", `${field} is required and not set`, {
    reason: "BAD_MESSAGE",
    place: { field },
  });
}

export function foreign(type: string, message: { $typeName?: unknown }): never {
  throw new WeftError("invalid_argument", `expected a ${type}, not a ${String(message.$typeName)}`, {
    reason: "BAD_MESSAGE",
  });
}

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

const writeUtf8: (this: Uint8Array, text: string, offset: number, length: number) => number =
  internals.utf8Write ??
  function (text, offset, length) {
    return Buffer.from(this.buffer, this.byteOffset, this.length).write(text, offset, length, "utf8");
  };
