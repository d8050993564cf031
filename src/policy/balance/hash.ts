/**
 * xxHash32 (Yann Collet's specification, xxhash.com) of a string's UTF-16 code units, for balancers: evenly spread, a few ns for short
 * keys, the same in every process. Not for what an attacker must not predict.
 */
export function hashText(text: string, seed: number): number {
  const length = text.length;
  let at = 0;
  let hash: number;
  if (length >= 8) {
    let a = (seed + PRIME_1 + PRIME_2) | 0;
    let b = (seed + PRIME_2) | 0;
    let c = seed | 0;
    let d = (seed - PRIME_1) | 0;
    for (; at + 8 <= length; at += 8) {
      a = round(a, lane(text, at));
      b = round(b, lane(text, at + 2));
      c = round(c, lane(text, at + 4));
      d = round(d, lane(text, at + 6));
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
  } else hash = (seed + PRIME_5) | 0;
  hash = (hash + length * 2) | 0;
  for (; at + 2 <= length; at += 2) {
    hash = Math.imul(rotate((hash + Math.imul(lane(text, at), PRIME_3)) | 0, 17), PRIME_4);
  }
  if (at < length) {
    const unit = text.charCodeAt(at);
    hash = Math.imul(rotate((hash + Math.imul(unit & 0xff, PRIME_5)) | 0, 11), PRIME_1);
    hash = Math.imul(rotate((hash + Math.imul(unit >>> 8, PRIME_5)) | 0, 11), PRIME_1);
  }
  return finish(hash);
}

/** Of one number: for the points of a ring, and to join hashes. */
export function hashNumber(value: number, seed: number): number {
  const hash = (seed + PRIME_5 + 4) | 0;
  return finish(Math.imul(rotate((hash + Math.imul(value | 0, PRIME_3)) | 0, 17), PRIME_4));
}

/** Of several keys one, depending on their order; as Envoy does it. */
export function joinHashes(hash: number, next: number): number {
  return (rotate(hash | 0, 1) ^ next) >>> 0;
}

function lane(text: string, at: number): number {
  return text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
}

function round(sum: number, value: number): number {
  return Math.imul(rotate((sum + Math.imul(value, PRIME_2)) | 0, 13), PRIME_1);
}

function finish(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

const PRIME_1 = 0x9e3779b1 | 0;
const PRIME_2 = 0x85ebca77 | 0;
const PRIME_3 = 0xc2b2ae3d | 0;
const PRIME_4 = 0x27d4eb2f | 0;
const PRIME_5 = 0x165667b1 | 0;
