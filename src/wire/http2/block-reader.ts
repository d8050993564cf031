import { HpackDecoder } from "./hpack/decoder.ts";
import type { Field } from "./hpack/field.ts";
import { STATIC_ENTRIES } from "./hpack/static-table.ts";
import { type Block, type MessageKind, readMessage, TOO_LARGE } from "./message.ts";

/**
 * Turns header blocks into heads, and looks up those that it has read before instead of decoding them.
 *
 * A block that inserts nothing into the dynamic table and does not resize it is a pure function of its bytes and of the table's
 * generation (of its bytes alone, when it refers to no dynamic entry). So the second time that a block is seen it is kept, and from
 * then on the same bytes give the same Block, and so the same Head with all that upper layers remembered in it.
 *
 *     bytes --same as last time?--> Block
 *           --hash, slot, compare-> Block                     whole blocks, direct-mapped: a collision costs a miss, never more
 *           --hash of the indexed and pseudo fields in front, slot, compare-> the longest common run of whole fields: decoding
 *                                                             resumes behind it   (traceparent, grpc-timeout, request ids come last)
 *           -> decode
 *
 * What it holds is bounded by `MAX_CACHED_BYTES` of blocks; release() lets go of it.
 */
export class BlockReader {
  readonly #decoder: HpackDecoder;
  #whole: (CachedBlock | null)[] = NONE;
  #prefixes: (Prefix | null)[] = NO_PREFIXES;
  /** Hashes seen once: what never comes again is not worth a copy. */
  #seen: Uint32Array = NO_HASHES;
  #cachedBytes = 0;
  #last: CachedBlock | null = null;

  constructor(tableBytes: number, maxHeadBytes: number, maxFields: number) {
    this.#decoder = new HpackDecoder(tableBytes, maxHeadBytes, maxFields);
  }

  /** Reads the block [start, end) of `bytes`. Null: COMPRESSION_ERROR. */
  read(kind: MessageKind, bytes: Buffer, start: number, end: number): Block | null {
    const last = this.#last;
    const generation = this.#decoder.table.generation;
    if (last?.matches(kind, generation, bytes, start, end)) return last.block;
    if (end - start > MAX_BLOCK_BYTES) return this.#decode(kind, bytes, start, end);
    if (this.#whole === NONE) this.#allocate();

    const hash = hashOf(bytes, start, end, kind);
    const found = this.#whole[hash & SLOT_MASK];
    if (found?.matches(kind, generation, bytes, start, end)) {
      this.#last = found;
      return found.block;
    }
    const pseudoEnd = endOfIndexed(bytes, start, end);
    const prefixHash = pseudoEnd > start ? hashOf(bytes, start, pseudoEnd, kind) : 0;
    const prefix = prefixHash === 0 ? null : this.#prefixes[prefixHash & PREFIX_MASK];
    const common = prefix === null ? 0 : prefix.commonFields(generation, bytes, start, end);
    const decoder = this.#decoder;
    let ok: boolean;
    if (prefix !== null && common > 0) {
      ok = decoder.resume(bytes, start, end, prefix.fields, prefix.ends, common);
      if (prefix.generation >= 0) decoder.usedTable = true;
    } else {
      ok = decoder.decode(bytes, start, end);
    }
    if (!ok) return null;
    if (decoder.tooLarge) return TOO_LARGE;
    const block = readMessage(kind, decoder.fields);
    if (block.head === null || decoder.table.generation !== generation) return block;

    const validFor = decoder.usedTable ? generation : ANY_GENERATION;
    if (common === 0 && prefixHash !== 0 && this.#seenBefore(prefixHash)) {
      this.#prefixes[prefixHash & PREFIX_MASK] = new Prefix(
        copy(bytes, start, end),
        validFor,
        decoder.fields.slice(),
        decoder.ends.slice(),
      );
      this.#count(end - start);
    }
    if (this.#seenBefore(hash)) {
      const cached = new CachedBlock(kind, validFor, copy(bytes, start, end), block);
      this.#whole[hash & SLOT_MASK] = cached;
      this.#last = cached;
      this.#count(end - start);
    }
    return block;
  }

  /** Forgets every cached block, so that an idle connection holds little. The decoder's state is kept. */
  release(): void {
    this.#whole = NONE;
    this.#prefixes = NO_PREFIXES;
    this.#seen = NO_HASHES;
    this.#last = null;
    this.#cachedBytes = 0;
  }

  #decode(kind: MessageKind, bytes: Buffer, start: number, end: number): Block | null {
    if (!this.#decoder.decode(bytes, start, end)) return null;
    return this.#decoder.tooLarge ? TOO_LARGE : readMessage(kind, this.#decoder.fields);
  }

  #allocate(): void {
    this.#whole = new Array(SLOT_MASK + 1).fill(null);
    this.#prefixes = new Array(PREFIX_MASK + 1).fill(null);
    this.#seen = new Uint32Array(SEEN_MASK + 1);
  }

  #seenBefore(hash: number): boolean {
    const slot = hash & SEEN_MASK;
    if (this.#seen[slot] === hash) return true;
    this.#seen[slot] = hash;
    return false;
  }

  #count(bytes: number): void {
    this.#cachedBytes += bytes;
    if (this.#cachedBytes > MAX_CACHED_BYTES) this.release();
    if (this.#whole === NONE) this.#allocate();
  }
}

const SLOT_MASK = 63;
const PREFIX_MASK = 15;
const SEEN_MASK = 127;
/** Larger blocks are decoded each time. */
const MAX_BLOCK_BYTES = 2_048;
const MAX_CACHED_BYTES = 32_768;
const ANY_GENERATION = -1;
const NONE: (CachedBlock | null)[] = [];
const NO_PREFIXES: (Prefix | null)[] = [];
const NO_HASHES = new Uint32Array(0);

class CachedBlock {
  readonly kind: MessageKind;
  readonly generation: number;
  readonly bytes: Buffer;
  readonly block: Block;

  constructor(kind: MessageKind, generation: number, bytes: Buffer, block: Block) {
    this.kind = kind;
    this.generation = generation;
    this.bytes = bytes;
    this.block = block;
  }

  matches(kind: MessageKind, generation: number, bytes: Buffer, start: number, end: number): boolean {
    const own = this.bytes;
    const length = own.length;
    if (length !== end - start || kind !== this.kind) return false;
    if (this.generation !== ANY_GENERATION && this.generation !== generation) return false;
    for (let i = length - 1; i >= 0; i--) if (own[i] !== bytes[start + i]) return false;
    return true;
  }
}

class Prefix {
  readonly bytes: Buffer;
  readonly generation: number;
  readonly fields: readonly Field[];
  readonly ends: readonly number[];

  constructor(bytes: Buffer, generation: number, fields: readonly Field[], ends: readonly number[]) {
    this.bytes = bytes;
    this.generation = generation;
    this.fields = fields;
    this.ends = ends;
  }

  /** How many whole fields in front are the same in [start, end) of `bytes`. */
  commonFields(generation: number, bytes: Buffer, start: number, end: number): number {
    if (this.generation !== ANY_GENERATION && this.generation !== generation) return 0;
    const own = this.bytes;
    const limit = Math.min(own.length, end - start);
    let same = 0;
    while (same < limit && own[same] === bytes[start + same]) same++;
    let count = this.ends.length;
    while (count > 0 && this.ends[count - 1] > same) count--;
    return count;
  }
}

/** Where the indexed fields and literals with a pseudo-header's name that the block begins with end: its constant part, mostly. */
function endOfIndexed(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const byte = bytes[at];
    if (byte >= 0x80) {
      if (byte === 0xff || byte === 0x80) return at;
      at++;
      continue;
    }
    const index = byte & 0x0f;
    if (byte >= 0x20 || index === 0 || index > LAST_PSEUDO || at + 1 >= end) return at;
    const length = bytes[at + 1] & 0x7f;
    if (length === 0x7f || at + 2 + length > end) return at;
    at += 2 + length;
  }
  return at;
}

/** The static table's pseudo-headers are its entries 1 to 14. */
const LAST_PSEUDO = Math.min(14, STATIC_ENTRIES);

/** Never 0. Four bytes a step: a multiplication a byte made up a third of a lookup. */
function hashOf(bytes: Buffer, start: number, end: number, kind: MessageKind): number {
  let hash = 0x811c_9dc5 ^ (end - start) ^ (kind << 24);
  let at = start;
  for (const last = end - 3; at < last; at += 4) {
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    hash = Math.imul(hash ^ word, 0x9e37_79b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ bytes[at], 0x0100_0193);
  hash ^= hash >>> 13;
  return hash >>> 0 || 1;
}

function copy(bytes: Buffer, start: number, end: number): Buffer {
  return Buffer.from(bytes.subarray(start, end));
}
