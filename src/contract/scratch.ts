/**
 * The buffer that every encode of this process writes into: messages are encoded here and copied (or framed and written to a socket)
 * at once, so that a call allocates no buffer for its message. What is in it is valid until the next encode.
 */
export const scratch: { bytes: Buffer<ArrayBuffer> } = { bytes: Buffer.allocUnsafeSlow(64 * 1024) };

/** Makes room for `size` bytes, keeping what is there. */
export function reserve(size: number): void {
  if (size <= scratch.bytes.length) return;
  let length = scratch.bytes.length * 2;
  while (length < size) length *= 2;
  const grown = Buffer.allocUnsafeSlow(length);
  grown.set(scratch.bytes);
  scratch.bytes = grown;
}
