const START_BYTES = 64 * 1024;
const KEEP_BYTES = 8 * 1024 * 1024;

/**
 * The buffer that every encode of this process writes into: messages are encoded here and copied (or framed and written to a socket)
 * at once, so that a call allocates no buffer for its message. What is in it is valid until the next encode.
 */
export const scratch: { bytes: Buffer<ArrayBuffer> } = { bytes: Buffer.allocUnsafeSlow(START_BYTES) };

/** Makes room for `size` bytes, keeping what is there. */
export function reserve(size: number): void {
  if (size <= scratch.bytes.length) return;
  let length = scratch.bytes.length * 2;
  while (length < size) length *= 2;
  const grown = Buffer.allocUnsafeSlow(length);
  grown.set(scratch.bytes);
  scratch.bytes = grown;
}

/** Before an encode: a buffer that one huge message made is not kept for ever. */
export function releaseLarge(): void {
  if (scratch.bytes.length > KEEP_BYTES) scratch.bytes = Buffer.allocUnsafeSlow(START_BYTES);
}
