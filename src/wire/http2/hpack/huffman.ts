/**
 * Decodes the Huffman code of HPACK. Source: RFC 7541 section 5.2 and appendix B.
 *
 * The code is canonical (codes of one length are consecutive, in the order of their symbols), so the lengths alone define it. Decoding
 * walks it four bits at a time through a table of inner nodes:
 *
 *     entry = next node (9 bits) | ends legally here << 9 | emits << 10 | symbol << 11       0xffff_ffff: not a code
 */
export function decodeHuffman(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outLimit: number,
): number {
  const table = (nibbles ??= buildNibbles());
  let node = 0;
  let legal = true;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    let entry = table[(node << 4) | (byte >>> 4)];
    if (entry === INVALID) return MALFORMED;
    if ((entry & EMITS) !== 0) {
      if (length === outLimit) return TOO_LONG;
      out[length++] = entry >>> 11;
    }
    node = entry & 0x1ff;
    entry = table[(node << 4) | (byte & 15)];
    if (entry === INVALID) return MALFORMED;
    if ((entry & EMITS) !== 0) {
      if (length === outLimit) return TOO_LONG;
      out[length++] = entry >>> 11;
    }
    node = entry & 0x1ff;
    legal = (entry & LEGAL_END) !== 0;
  }
  return legal ? length : MALFORMED;
}

/** decodeHuffman: not a code, EOS inside, or padding that is too long or not all ones. */
export const MALFORMED = -1;
/** decodeHuffman: more than `outLimit` bytes. */
export const TOO_LONG = -2;

const LEGAL_END = 1 << 9;
const EMITS = 1 << 10;
const INVALID = 0xffff_ffff;
const EOS = 256;

/** Bits of the code of each byte value. */
const LENGTHS = Uint8Array.of(
  ...[13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  ...[28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  ...[6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  ...[5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  ...[13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  ...[7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  ...[15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  ...[6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  ...[20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  ...[24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  ...[22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  ...[21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  ...[26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  ...[19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  ...[20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  ...[26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  30, // EOS
);

/** Built on first use (about a millisecond): many processes never see a Huffman string. */
let nibbles: Uint32Array | undefined;

function buildNibbles(): Uint32Array {
  // The code as a binary tree: children[node * 2 + bit] is an inner node, or ~symbol.
  const children: number[] = [0, 0];
  let code = 0;
  for (let bits = 5; bits <= 30; bits++) {
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (LENGTHS[symbol] !== bits) continue;
      let node = 0;
      for (let bit = bits - 1; bit > 0; bit--) {
        const side = node * 2 + ((code >>> bit) & 1);
        if (children[side] === 0) {
          children[side] = children.length / 2;
          children.push(0, 0);
        }
        node = children[side];
      }
      children[node * 2 + (code & 1)] = ~symbol;
      code++;
    }
    code *= 2;
  }
  // A string may end within at most 7 ones: at the root or at one of the first seven nodes of the all-ones path.
  const legal = new Set<number>([0]);
  for (let node = children[1], depth = 1; depth <= 7; depth++, node = children[node * 2 + 1]) legal.add(node);

  const nodes = children.length / 2;
  const table = new Uint32Array(nodes * 16);
  for (let from = 0; from < nodes; from++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = from;
      let entry = 0;
      for (let bit = 3; bit >= 0 && entry !== INVALID; bit--) {
        const next = children[node * 2 + ((nibble >>> bit) & 1)];
        if (next === ~EOS) entry = INVALID;
        else if (next < 0) {
          entry = EMITS | (~next << 11);
          node = 0;
        } else node = next;
      }
      if (entry !== INVALID) entry |= node | (legal.has(node) ? LEGAL_END : 0);
      table[(from << 4) | nibble] = entry >>> 0;
    }
  }
  return table;
}
