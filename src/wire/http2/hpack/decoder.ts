import { DynamicTable } from "./dynamic-table.ts";
import { Field, kindOfName, kindOfValue, type NameKind } from "./field.ts";
import { decodeHuffman } from "./huffman.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "./static-table.ts";

/**
 * Decodes header blocks. Strict: whatever RFC 7541 calls a decoding error makes decode() answer false, which is a connection error
 * of type COMPRESSION_ERROR, and the decoder must not be used again.
 *
 * A block whose fields exceed the limits is decoded to its end all the same, for the table's sake; `tooLarge` is true then and
 * `fields` incomplete.
 */
export class HpackDecoder {
  readonly table: DynamicTable;
  /** The fields of the block that was read last. The array is the decoder's: copy what must last. */
  readonly fields: Field[] = [];
  /** Where each of them ended, as an offset from the block's start. */
  readonly ends: number[] = [];
  tooLarge = false;
  /** The block referred to the dynamic table, so that its meaning depends on the table's generation. */
  usedTable = false;

  readonly #limitTableBytes: number;
  readonly #maxHeadBytes: number;
  readonly #maxFields: number;
  #headBytes = 0;
  #at = 0;

  /** `tableBytes` is what our SETTINGS_HEADER_TABLE_SIZE allows the peer. */
  constructor(tableBytes: number, maxHeadBytes: number, maxFields: number) {
    this.table = new DynamicTable(tableBytes);
    this.#limitTableBytes = tableBytes;
    this.#maxHeadBytes = maxHeadBytes;
    this.#maxFields = maxFields;
  }

  /** Decodes bytes [start, end) of `block`. False: COMPRESSION_ERROR. */
  decode(block: Buffer, start: number, end: number): boolean {
    this.#begin();
    // A size update may stand only before the first field.
    this.#at = start;
    while (this.#at < end && (block[this.#at] & 0xe0) === 0x20) {
      const size = this.#integer(block, end, 0x1f);
      if (size < 0 || size > this.#limitTableBytes) return false;
      this.table.resize(size);
    }
    return this.#fieldsFrom(block, start, end);
  }

  /** Decodes a block whose first `count` fields are known to be the first of `fields` and to end at `ends[count - 1]`. */
  resume(
    block: Buffer,
    start: number,
    end: number,
    fields: readonly Field[],
    ends: readonly number[],
    count: number,
  ): boolean {
    this.#begin();
    for (let i = 0; i < count; i++) {
      this.#push(fields[i]);
      this.ends.push(ends[i]);
    }
    this.#at = start + ends[count - 1];
    return this.#fieldsFrom(block, start, end);
  }

  #begin(): void {
    this.fields.length = 0;
    this.ends.length = 0;
    this.tooLarge = false;
    this.usedTable = false;
    this.#headBytes = 0;
  }

  #fieldsFrom(block: Buffer, start: number, end: number): boolean {
    while (this.#at < end) {
      const byte = block[this.#at];
      let field: Field | undefined;
      if ((byte & 0x80) !== 0) {
        const index = this.#integer(block, end, 0x7f);
        field = index > 0 ? this.#entry(index) : undefined;
      } else if ((byte & 0x40) !== 0) {
        field = this.#literal(block, end, 0x3f);
        if (field !== undefined) this.table.insert(field);
      } else if ((byte & 0x20) !== 0) {
        return false;
      } else {
        field = this.#literal(block, end, 0x0f);
      }
      if (field === undefined) return false;
      this.#push(field);
      this.ends.push(this.#at - start);
    }
    return true;
  }

  #push(field: Field): void {
    this.#headBytes += field.size;
    if (this.#headBytes > this.#maxHeadBytes || this.fields.length >= this.#maxFields) this.tooLarge = true;
    else this.fields.push(field);
  }

  #entry(index: number): Field | undefined {
    if (index <= STATIC_ENTRIES) return STATIC_TABLE[index];
    this.usedTable = true;
    return this.table.at(index - STATIC_ENTRIES - 1);
  }

  #literal(block: Buffer, end: number, mask: number): Field | undefined {
    const index = this.#integer(block, end, mask);
    if (index < 0) return undefined;
    const name = index === 0 ? this.#name(block, end) : this.#nameOf(index);
    if (name === undefined) return undefined;
    const value = this.#string(block, end);
    return value === undefined ? undefined : new Field(name.text, value, kindOfValue(name.kind, value));
  }

  #nameOf(index: number): FieldName | undefined {
    if (index <= STATIC_ENTRIES) return STATIC_FIELD_NAMES[index];
    const name = this.#entry(index)?.name;
    return name === undefined ? undefined : { text: name, kind: kindOfName(name) };
  }

  /** A literal name. Those seen lately are not read, judged and allocated again. */
  #name(block: Buffer, end: number): FieldName | undefined {
    const start = this.#at;
    const length = start < end ? block[start] : 0;
    if (length === 0 || length > MAX_NAME_BYTES || start + 1 + length > end) {
      const text = this.#string(block, end);
      return text === undefined ? undefined : { text, kind: kindOfName(text) };
    }
    const slot = (length * 31 + block[start + 1] * 7 + block[start + length]) & NAME_MASK;
    const known = names[slot];
    if (known !== undefined && known.bytes.length === length) {
      let i = 0;
      while (i < length && known.bytes[i] === block[start + 1 + i]) i++;
      if (i === length) {
        this.#at = start + 1 + length;
        return known.name;
      }
    }
    const text = this.#string(block, end) as string;
    const name = { text, kind: kindOfName(text) };
    names[slot] = { bytes: Uint8Array.from(block.subarray(start + 1, start + 1 + length)), name };
    return name;
  }

  #string(block: Buffer, end: number): string | undefined {
    if (this.#at >= end) return undefined;
    const huffman = (block[this.#at] & 0x80) !== 0;
    const length = this.#integer(block, end, 0x7f);
    const from = this.#at;
    if (length < 0 || length > end - from) return undefined;
    this.#at = from + length;
    if (!huffman) return (block as Latin1Buffer).latin1Slice(from, from + length);
    // The shortest code has 5 bits, so a string grows to at most 8/5.
    const scratch = scratchOf(Math.ceil((length * 8) / 5));
    const decoded = decodeHuffman(block, from, from + length, scratch, scratch.length);
    return decoded < 0 ? undefined : (scratch as Latin1Buffer).latin1Slice(0, decoded);
  }

  /** An integer whose prefix is in `mask`; -1 when it is cut off or does not fit 31 bits. Source: RFC 7541 section 5.1. */
  #integer(block: Buffer, end: number, mask: number): number {
    if (this.#at >= end) return -1;
    let value = block[this.#at++] & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 28; shift += 7) {
      if (this.#at >= end) return -1;
      const byte = block[this.#at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (value > 0x7fff_ffff) return -1;
      if ((byte & 0x80) === 0) return value;
    }
    return -1;
  }
}

interface FieldName {
  readonly text: string;
  readonly kind: NameKind;
}

const STATIC_FIELD_NAMES: readonly FieldName[] = STATIC_TABLE.map(({ name }) => ({
  text: name,
  kind: kindOfName(name),
}));

/** Literal names without Huffman code, shared by all decoders: names are few and no secrets. */
const names: ({ readonly bytes: Uint8Array; readonly name: FieldName } | undefined)[] = new Array(64).fill(undefined);
const NAME_MASK = 63;
const MAX_NAME_BYTES = 64;

/** Node's own method, which the type declarations leave out; toString() adds checks of its arguments to each call. */
interface Latin1Buffer extends Buffer {
  latin1Slice(start: number, end: number): string;
}

/** Shared by all decoders: it is used only within one synchronous step. */
let shared = Buffer.alloc(0);

function scratchOf(length: number): Buffer {
  if (length > 65_536) return Buffer.allocUnsafeSlow(length);
  if (shared.length < length) shared = Buffer.allocUnsafeSlow(Math.max(4096, length));
  return shared;
}
