/**
 * Buffers that are used again, for bytes that wait a moment: output on its way to a socket, body bytes that wait for window, a frame or
 * message that was cut off. A process has one pool, as it has one memory.
 *
 *     takeBlock(bytes) -> fill ... read -> giveBack(block) -> the free list of its size -> takeBlock
 *
 * Without it dead buffers pile up: the collector minds memory outside of its heap only when there are 64 MB more of it.
 *
 * 1. A block is given back once, by who took it, when nobody reads it any more; from then on it is somebody else's.
 * 2. One that is never given back (its connection was lost while the kernel had it) is garbage like any other.
 * 3. Free lists are bounded: what lies in them is at most FREE_BYTES_AT_MOST.
 */
export function takeBlock(bytes: number): Buffer {
  for (let i = 0; i < SIZES.length; i++) {
    if (bytes <= SIZES[i]) return FREE[i].pop() ?? Buffer.allocUnsafeSlow(SIZES[i]);
  }
  return Buffer.allocUnsafeSlow(Math.ceil(bytes * 1.5));
}

/** A block that is no longer used. Of a size that is not kept, or when enough are free, it is left to the collector. */
export function giveBack(block: Buffer): void {
  for (let i = 0; i < SIZES.length; i++) {
    if (block.length !== SIZES[i]) continue;
    if (FREE[i].length < KEPT[i]) FREE[i].push(block);
    return;
  }
}

/** Heads and short messages; a frame or what one turn sends; a connection's output at its limit; HTTP/1.1's default high-water mark with
 * what a paused sender may still send (its window and what was read at once). */
const SIZES: readonly number[] = [2_048, 16_384, 163_840, 655_360];
const KEPT: readonly number[] = [512, 128, 16, 4];
const FREE: readonly Buffer[][] = SIZES.map(() => []);

export const FREE_BYTES_AT_MOST: number = SIZES.reduce((sum, size, i) => sum + size * KEPT[i], 0);

/** Bytes that lie in the free lists now. */
export function freeBlockBytes(): number {
  return FREE.reduce((sum, list, i) => sum + list.length * SIZES[i], 0);
}
