import { type Random, seededRandom } from "../core/random.ts";

/**
 * A source of randomness for each purpose ("latency products-1", "policy gateway"), all from one seed: what one of them draws does not change what the
 * others do, so that two worlds which differ in one thing differ only by it.
 */
export class Seeds {
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  of(purpose: string): Random {
    // FNV-1a, 32 bits, of the purpose; mixed with the seed by murmur3's finaliser, so that near seeds give unlike streams.
    let hash = 0x811c9dc5;
    for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193);
    let mixed = (hash ^ Math.imul(this.#seed | 0, 0x9e3779b1)) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return seededRandom((mixed ^ (mixed >>> 16)) >>> 0);
  }
}
