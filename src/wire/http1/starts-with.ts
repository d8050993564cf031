/** Whether the bytes [start, end) of a chunk begin with these. */
export function startsWith(chunk: Uint8Array, start: number, end: number, bytes: Uint8Array): boolean {
  const size = bytes.length;
  if (end - start < size) return false;
  for (let i = 0; i < size; i++) if (chunk[start + i] !== bytes[i]) return false;
  return true;
}
