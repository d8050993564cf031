import { WeftError } from "../../core/errors.ts";
import { CLASS, TYPE } from "./constants.ts";
import { encodeName, nameKey, suffixesOf } from "./name.ts";

/** A name with its bytes on the wire, made once. */
export interface WireName {
  readonly bytes: Uint8Array;
  /** The name and its ends in lower case, one for each label: ["v2.weft.", "weft."]. */
  readonly suffixes: readonly string[];
}

/** Data of a record as it travels. Nothing in it is compressed: of the types here only NS and SOA might be, and those are rare. */
export interface RecordData {
  readonly type: number;
  readonly bytes: Uint8Array;
  /** A name that stands in `bytes` from `at` on, to which owners of later records can point. */
  readonly inner: { readonly name: WireName; readonly at: number } | null;
}

/** Throws WeftError("invalid_argument", reason BAD_NAME). */
export function wireName(text: string): WireName {
  const bytes = encodeName(text);
  if (bytes === null)
    throw new WeftError("invalid_argument", `${JSON.stringify(text.slice(0, 80))} is no DNS name`, {
      reason: "BAD_NAME",
    });
  return { bytes, suffixes: suffixesOf(nameKey(text)) };
}

/** A (RFC 1035) for 4 bytes, AAAA (RFC 3596) for 16. */
export function addressData(address: Uint8Array): RecordData {
  return { type: address.length === 4 ? TYPE.A : TYPE.AAAA, bytes: address, inner: null };
}

/** RFC 2782. The target is not compressed, which it says must not be. */
export function srvData(priority: number, weight: number, port: number, target: WireName): RecordData {
  const bytes = new Uint8Array(6 + target.bytes.length);
  bytes.set([priority >> 8, priority, weight >> 8, weight, port >> 8, port]);
  bytes.set(target.bytes, 6);
  return { type: TYPE.SRV, bytes, inner: { name: target, at: 6 } };
}

export function nsData(target: WireName): RecordData {
  return { type: TYPE.NS, bytes: target.bytes, inner: { name: target, at: 0 } };
}

/** Times in seconds; `minimum` is how long a negative answer may be kept (RFC 2308 section 4). */
export function soaData(server: WireName, mailbox: WireName, serial: number, minimum: number): RecordData {
  const times = [serial, REFRESH, RETRY, EXPIRE, minimum];
  const numbers = new DataView(new ArrayBuffer(20));
  times.forEach((value, i) => {
    numbers.setUint32(4 * i, value);
  });
  const bytes = Uint8Array.from([...server.bytes, ...mailbox.bytes, ...new Uint8Array(numbers.buffer)]);
  return { type: TYPE.SOA, bytes, inner: null };
}

/** What ANY is answered with (RFC 8482 section 4.2): one record that says why there are no more. */
export const ANY_REFUSED: RecordData = {
  type: TYPE.HINFO,
  bytes: Uint8Array.from([7, ...new TextEncoder().encode("RFC8482"), 0]),
  inner: null,
};

export const RECORD_CLASS = CLASS.IN;

/** For secondaries, of which there are none: the zone is never transferred. */
const REFRESH = 60;
const RETRY = 30;
const EXPIRE = 3_600;
