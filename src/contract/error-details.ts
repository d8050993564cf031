/**
 * The messages of google.rpc that errors travel in, read and written by hand: they are small and fixed, and whoever only passes calls on (`weft proxy`) then
 * needs no Protocol Buffers runtime, which is 11 MB resident. The codecs of codec.ts give the same bytes (error-details.test.ts).
 *
 *     Status       { int32 code = 1; string message = 2; repeated Any details = 3 { string type_url = 1; bytes value = 2 } }
 *     ErrorInfo    { string reason = 1; string domain = 2; map<string, string> metadata = 3 }
 *     BadRequest   { repeated FieldViolation field_violations = 1 { string field = 1; string description = 2; string reason = 3 } }
 *     RetryInfo    { Duration retry_delay = 1 { int64 seconds = 1; int32 nanos = 2 } }
 */
export const ERROR_INFO = "google.rpc.ErrorInfo";
export const BAD_REQUEST = "google.rpc.BadRequest";
export const RETRY_INFO = "google.rpc.RetryInfo";

export interface StatusMessage {
  readonly code: number;
  readonly message: string;
  readonly details: readonly { readonly typeUrl: string; readonly value: Uint8Array }[];
}

export interface ErrorInfoMessage {
  readonly reason: string;
  readonly domain: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface FieldViolation {
  readonly field: string;
  readonly description: string;
  readonly reason?: string;
}

export function encodeStatus({ code, message, details }: StatusMessage): Uint8Array {
  const to: Uint8Array[] = [];
  if (code !== 0) to.push(varint(1 << 3), varint(code));
  text(to, 2, message);
  for (const { typeUrl, value } of details) {
    const any: Uint8Array[] = [];
    text(any, 1, typeUrl);
    if (value.length > 0) bytes(any, 2, value);
    bytes(to, 3, joined(any));
  }
  return joined(to);
}

export function encodeErrorInfo({ reason, domain, metadata }: ErrorInfoMessage): Uint8Array {
  const to: Uint8Array[] = [];
  text(to, 1, reason);
  text(to, 2, domain);
  for (const [key, value] of Object.entries(metadata)) {
    const entry: Uint8Array[] = [];
    // Both are written even when they are empty, as entries of maps are.
    bytes(entry, 1, ENCODER.encode(key));
    bytes(entry, 2, ENCODER.encode(value));
    bytes(to, 3, joined(entry));
  }
  return joined(to);
}

export function encodeBadRequest(violations: readonly FieldViolation[]): Uint8Array {
  const to: Uint8Array[] = [];
  for (const { field, description, reason = "" } of violations) {
    const violation: Uint8Array[] = [];
    text(violation, 1, field);
    text(violation, 2, description);
    text(violation, 3, reason);
    bytes(to, 1, joined(violation));
  }
  return joined(to);
}

/** Null for what is no such message. Fields that are not known are passed over. */
export function decodeStatus(from: Uint8Array): StatusMessage | null {
  return read(
    from,
    { code: 0, message: "", details: [] as { typeUrl: string; value: Uint8Array }[] },
    (status, field, value) => {
      if (field === 1) status.code = Number(BigInt.asIntN(32, number(value)));
      else if (field === 2) status.message = string(value);
      else if (field === 3) {
        const any = read(block(value), { typeUrl: "", value: NOTHING }, (part, partField, partValue) => {
          if (partField === 1) part.typeUrl = string(partValue);
          else if (partField === 2) part.value = block(partValue).slice();
        });
        status.details.push(required(any));
      }
    },
  );
}

export function decodeErrorInfo(from: Uint8Array): ErrorInfoMessage | null {
  const metadata: Record<string, string> = Object.create(null);
  return read(from, { reason: "", domain: "", metadata }, (info, field, value) => {
    if (field === 1) info.reason = string(value);
    else if (field === 2) info.domain = string(value);
    else if (field === 3) {
      const entry = read(block(value), { key: "", value: "" }, (part, partField, partValue) => {
        if (partField === 1) part.key = string(partValue);
        else if (partField === 2) part.value = string(partValue);
      });
      metadata[required(entry).key] = required(entry).value;
    }
  });
}

export function decodeBadRequest(from: Uint8Array): readonly Required<FieldViolation>[] | null {
  return read(from, [] as Required<FieldViolation>[], (violations, field, value) => {
    if (field !== 1) return;
    const violation = read(block(value), { field: "", description: "", reason: "" }, (part, partField, partValue) => {
      if (partField === 1) part.field = string(partValue);
      else if (partField === 2) part.description = string(partValue);
      else if (partField === 3) part.reason = string(partValue);
    });
    violations.push(required(violation));
  });
}

/** Seconds that a server wants its caller to wait, rounded up; undefined when it does not say. */
export function decodeRetryDelay(from: Uint8Array): number | undefined {
  const info = read(from, { delay: undefined as number | undefined }, (message, field, value) => {
    if (field !== 1) return;
    const duration = read(block(value), { seconds: 0, nanos: 0 }, (part, partField, partValue) => {
      if (partField === 1) part.seconds = Number(BigInt.asIntN(64, number(partValue)));
      else if (partField === 2) part.nanos = Number(BigInt.asIntN(32, number(partValue)));
    });
    const { seconds, nanos } = required(duration);
    message.delay = Math.max(0, seconds + (nanos > 0 ? 1 : 0));
  });
  return info?.delay;
}

// --- the wire format: https://protobuf.dev/programming-guides/encoding ------------------------------------------

type Value = bigint | Uint8Array;

/** Goes through the fields of a message; null when its bytes are none, or `take` finds something of the wrong kind. */
function read<T>(from: Uint8Array, into: T, take: (into: T, field: number, value: Value) => void): T | null {
  let at = 0;
  const next = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= from.length) throw MALFORMED;
      const byte = from[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw MALFORMED;
  };
  const skip = (length: number): Uint8Array => {
    if (length > from.length - at) throw MALFORMED;
    at += length;
    return from.subarray(at - length, at);
  };
  try {
    while (at < from.length) {
      const tag = Number(next());
      const field = tag >>> 3;
      if (field === 0 || tag > 0xffff_ffff) throw MALFORMED;
      const kind = tag & 7;
      if (kind === 0) take(into, field, next());
      else if (kind === 1) skip(8);
      else if (kind === 2) take(into, field, skip(Number(next())));
      else if (kind === 5) skip(4);
      else throw MALFORMED; // groups are of another age
    }
    return into;
  } catch {
    return null;
  }
}

function string(value: Value): string {
  return DECODER.decode(block(value));
}

function block(value: Value): Uint8Array {
  if (typeof value === "bigint") throw MALFORMED;
  return value;
}

function number(value: Value): bigint {
  if (typeof value !== "bigint") throw MALFORMED;
  return value;
}

function required<T>(value: T | null): T {
  if (value === null) throw MALFORMED;
  return value;
}

function text(to: Uint8Array[], field: number, value: string): void {
  if (value !== "") bytes(to, field, ENCODER.encode(value));
}

function bytes(to: Uint8Array[], field: number, value: Uint8Array): void {
  to.push(varint((field << 3) | 2), varint(value.length), value);
}

function varint(value: number): Uint8Array {
  const encoded: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) encoded.push((value & 0x7f) | 0x80);
  encoded.push(value);
  return Uint8Array.from(encoded);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const MALFORMED = new Error("no such message");
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NOTHING = new Uint8Array(0);
