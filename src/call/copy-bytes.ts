import { countBytesMade } from "../core/bytes-made.ts";

/** Bytes [start, end) as bytes of their own. Not `slice`, which on a Buffer (and chunks often are one) copies nothing. */
export function copyBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  copy.set(bytes.subarray(start, end));
  countBytesMade(copy.length);
  return copy;
}
