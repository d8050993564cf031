/** Bytes in front of each gRPC message: the compressed flag and the payload's length. */
export const PREFIX_BYTES = 5;

/** Writes the prefix of a message of `length` bytes at `at`. */
export function writeMessagePrefix(out: Uint8Array, at: number, length: number, compressed: boolean): void {
  out[at] = compressed ? 1 : 0;
  out[at + 1] = length >>> 24;
  out[at + 2] = length >>> 16;
  out[at + 3] = length >>> 8;
  out[at + 4] = length;
}

/** A payload with its prefix, as one new buffer. */
export function frameMessage(payload: Uint8Array, compressed: boolean): Uint8Array {
  const frame = new Uint8Array(PREFIX_BYTES + payload.length);
  writeMessagePrefix(frame, 0, payload.length, compressed);
  frame.set(payload, PREFIX_BYTES);
  return frame;
}
