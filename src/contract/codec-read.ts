import { countBytesMade } from "../core/bytes-made.ts";
import { doubles, floats, internals, MAX_DEPTH, signed, unsigned, words } from "./codec-cell.ts";
import type { UnknownField } from "./runtime.ts";

/**
 * What compiled decoders call: everything that is too long, or too rare, to stand in their text. A function that reads what has no fixed
 * size leaves the position behind it in `cursor.at`.
 */
export const cursor = { at: 0 };

/** The low 32 bits, signed, of a varint of up to 10 bytes. Bytes behind the end of the message are noticed by the caller's end check. */
export function readVarint32(b: Uint8Array, p: number): number {
  let byte = b[p++];
  let value = byte & 127;
  for (let shift = 7; byte > 127; shift += 7) {
    if (shift > 63) throw malformed("a varint is longer than 10 bytes");
    byte = b[p++];
    if (shift < 32) value |= (byte & 127) << shift;
  }
  cursor.at = p;
  return value;
}

/** A tag of more than one byte. */
export function readTag(b: Uint8Array, p: number): number {
  const start = p;
  const tag = readVarint32(b, p) >>> 0;
  if (cursor.at - start > 5 || (cursor.at - start === 5 && b[cursor.at - 1] > 15))
    throw malformed("a tag does not fit in 32 bits");
  return tag;
}

/** Leaves a varint of up to 10 bytes in the 64-bit cell. */
function readVarint64(b: Uint8Array, p: number): void {
  let byte = b[p++];
  let lo = byte & 127;
  let hi = 0;
  for (let shift = 7; byte > 127; shift += 7) {
    if (shift > 63) throw malformed("a varint is longer than 10 bytes");
    byte = b[p++];
    const bits = byte & 127;
    if (shift < 28) lo |= bits << shift;
    else if (shift === 28) {
      lo |= bits << 28;
      hi = bits >>> 4;
    } else hi |= bits << (shift - 32);
  }
  cursor.at = p;
  words[0] = lo;
  words[1] = hi;
}

export function readInt64(b: Uint8Array, p: number): bigint {
  readVarint64(b, p);
  return signed[0];
}

export function readUint64(b: Uint8Array, p: number): bigint {
  readVarint64(b, p);
  return unsigned[0];
}

export function readSint64(b: Uint8Array, p: number): bigint {
  readVarint64(b, p);
  const sign = -(words[0] & 1);
  const lo = ((words[0] >>> 1) | (words[1] << 31)) ^ sign;
  words[1] = (words[1] >>> 1) ^ sign;
  words[0] = lo;
  return signed[0];
}

export function readBool(b: Uint8Array, p: number): boolean {
  readVarint64(b, p);
  return words[0] !== 0 || words[1] !== 0;
}

/** The fixed-width readers are never called with less than their width left. */
export function readFixed32(b: Uint8Array, p: number): number {
  return b[p] | (b[p + 1] << 8) | (b[p + 2] << 16) | (b[p + 3] << 24);
}

export function readFixed64(b: Uint8Array, p: number): bigint {
  words[0] = readFixed32(b, p);
  words[1] = readFixed32(b, p + 4);
  return unsigned[0];
}

export function readSfixed64(b: Uint8Array, p: number): bigint {
  words[0] = readFixed32(b, p);
  words[1] = readFixed32(b, p + 4);
  return signed[0];
}

export function readFloat(b: Uint8Array, p: number): number {
  words[0] = readFixed32(b, p);
  return floats[0];
}

export function readDouble(b: Uint8Array, p: number): number {
  words[0] = readFixed32(b, p);
  words[1] = readFixed32(b, p + 4);
  return doubles[0];
}

/** One-byte varints as bigints, so that the commonest numbers allocate nothing. */
export const SMALL: readonly bigint[] = Array.from({ length: 128 }, (_, index) => BigInt(index));

/**
 * UTF-8 at [p, q). Up to 16 bytes of ASCII are put together here, since a call into the runtime's decoder costs more than that
 * (26 to 75 ns against 110 to 190).
 */
export function readString(b: Buffer, p: number, q: number, strict: boolean): string {
  if (q - p > 16) return readLongString(b, p, q, strict);
  let text = "";
  let i = p;
  for (; q - i >= 8; i += 8) {
    const any = b[i] | b[i + 1] | b[i + 2] | b[i + 3] | b[i + 4] | b[i + 5] | b[i + 6] | b[i + 7];
    if (any > 127) return readLongString(b, p, q, strict);
    text += fromCharCode(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7]);
  }
  if (q - i >= 4) {
    if ((b[i] | b[i + 1] | b[i + 2] | b[i + 3]) > 127) return readLongString(b, p, q, strict);
    text += fromCharCode(b[i], b[i + 1], b[i + 2], b[i + 3]);
    i += 4;
  }
  switch (q - i) {
    case 0:
      return text;
    case 1:
      if (b[i] < 128) return text + fromCharCode(b[i]);
      break;
    case 2:
      if ((b[i] | b[i + 1]) < 128) return text + fromCharCode(b[i], b[i + 1]);
      break;
    default:
      if ((b[i] | b[i + 1] | b[i + 2]) < 128) return text + fromCharCode(b[i], b[i + 1], b[i + 2]);
  }
  return readLongString(b, p, q, strict);
}

function readLongString(b: Buffer, p: number, q: number, strict: boolean): string {
  const text = sliceUtf8.call(b, p, q);
  // The runtime's decoder replaces what is malformed by U+FFFD; only where one is seen must it be told from one that was sent.
  if (strict && text.includes("\ufffd")) {
    try {
      return utf8.decode(b.subarray(p, q));
    } catch {
      throw malformed("a string is not valid UTF-8");
    }
  }
  return text;
}

/** A copy, since what is decoded from lives no longer than the call. */
export function readBytes(b: Uint8Array, p: number, q: number): Uint8Array {
  const bytes = new Uint8Array(q - p);
  bytes.set(b.subarray(p, q));
  countBytesMade(q - p);
  return bytes;
}

/** A field that the descriptor does not know, or knows with another wire type. `depth` is how deep groups may still nest. */
export function readUnknown(b: Uint8Array, p: number, e: number, tag: number, depth: number): UnknownField {
  const no = tag >>> 3;
  if (no === 0) throw malformed("a field has number 0");
  const end = skip(b, p, e, tag, depth);
  cursor.at = end;
  return { no, wireType: tag & 7, data: readBytes(b, p, end) };
}

/** The end of a field's value. */
export function skip(b: Uint8Array, p: number, e: number, tag: number, depth: number): number {
  let end = p;
  switch (tag & 7) {
    case 0:
      readVarint32(b, p);
      end = cursor.at;
      break;
    case 1:
      end = p + 8;
      break;
    case 2: {
      const length = readVarint32(b, p) >>> 0;
      end = cursor.at + length;
      break;
    }
    case 3:
      if (depth <= 0) throw malformed(`nested deeper than ${MAX_DEPTH}`);
      for (end = p; ; ) {
        if (end >= e) throw malformed("a group has no end");
        const inner = readTag(b, end);
        end = cursor.at;
        if (inner >>> 3 === 0) throw malformed("a field has number 0");
        if ((inner & 7) === 4) {
          if (inner >>> 3 !== tag >>> 3) throw malformed("a group ends with another one's number");
          break;
        }
        end = skip(b, end, e, inner, depth - 1);
      }
      break;
    case 5:
      end = p + 4;
      break;
    default:
      throw malformed(`wire type ${tag & 7} of field ${tag >>> 3} is not one that can be read here`);
  }
  if (!(end <= e)) throw malformed("cut off");
  return end;
}

/** An own property, whatever the key. */
export function setEntry(record: Record<string, unknown>, key: unknown, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(record, key, { value, writable: true, enumerable: true, configurable: true });
  else record[key as string] = value;
}

export function malformed(why: string): Error {
  return new Error(why);
}

export function cutOff(where: string): never {
  throw malformed(`${where} is cut off`);
}

export function tooDeep(type: string): never {
  throw malformed(`${type} is nested deeper than ${MAX_DEPTH}`);
}

const { fromCharCode } = String;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const sliceUtf8: (this: Uint8Array, start: number, end: number) => string =
  internals.utf8Slice ??
  function (start, end) {
    return Buffer.from(this.buffer, this.byteOffset, this.length).toString("utf8", start, end);
  };
