import { hashNumber, hashText } from "./hash.ts";

export interface HashMember {
  /** The same in every process: the endpoint's id. */
  readonly id: string;
  /** Where it stands in the pool. */
  readonly index: number;
  readonly weight: number;
}

/** Where keys lie: a circle of places, each one member's. */
export interface HashPlaces {
  /** How many places there are. */
  readonly size: number;
  /** The place of a key's hash. */
  placeOf(hash: number): number;
  /** The index of the member that has a place. */
  memberAt(place: number): number;
}

/**
 * Consistent hashing on a ring (Karger et al. 1997, "Consistent hashing and random trees"; ketama), sized as Envoy's RingHashLoadBalancer and gRFC A42: every
 * member has points in proportion to its weight, so many that the ring has at least `minSize` and, where that can be had, at most `maxSize`;
 * defaults 1,024 and 8,388,608. When one of n goes, about 1/n of the keys move: its own.
 */
export class HashRing implements HashPlaces {
  readonly #points: Uint32Array;
  readonly #members: Int32Array;

  constructor(members: readonly HashMember[], minSize: number, maxSize: number) {
    let total = 0;
    let min = Number.POSITIVE_INFINITY;
    for (const { weight } of members) {
      total += weight;
      if (weight < min) min = weight;
    }
    // As many points for the lightest as make the ring large enough, whole ones for it.
    const least = min / total;
    const scale = Math.min(Math.ceil(least * minSize) / least, maxSize);
    const points: number[] = [];
    const owners: number[] = [];
    let target = 0;
    let made = 0;
    // By id, so that shares that are rounded are rounded alike everywhere.
    for (const { id, index, weight } of byId(members)) {
      target += (scale * weight) / total;
      const seed = hashText(id, 0);
      for (let k = 0; made < target - 1e-9; k++, made++) {
        points.push(hashNumber(k, seed));
        owners.push(index);
      }
    }
    const order = inOrder(points);
    this.#points = Uint32Array.from(order, (at) => points[at]);
    this.#members = Int32Array.from(order, (at) => owners[at]);
  }

  get size(): number {
    return this.#points.length;
  }

  /** The first point at or after the hash, clockwise. */
  placeOf(hash: number): number {
    const points = this.#points;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (points[middle] < hash) low = middle + 1;
      else high = middle;
    }
    return low === points.length ? 0 : low;
  }

  memberAt(place: number): number {
    return this.#members[place];
  }
}

export function byId(members: readonly HashMember[]): HashMember[] {
  return [...members].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** Indexes of the points, from the lowest to the highest point. */
function inOrder(points: readonly number[]): Uint32Array {
  if (points.length > JOINED) return new Uint32Array(points.keys()).sort((a, b) => points[a] - points[b] || a - b);
  // Sorting numbers is much faster than comparing by a function; a point of 32 bits and an index of 21 are one exact number.
  const joined = Float64Array.from(points, (point, at) => point * JOINED + at).sort();
  return Uint32Array.from(joined, (value) => value % JOINED);
}

const JOINED = 2 ** 21;
