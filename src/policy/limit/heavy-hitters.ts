/**
 * Finds the keys that make up most of a stream in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and
 * top-k elements in data streams", ICDT 2005). A key that is not kept takes the place of the rarest one and inherits its count as a possible error:
 *
 *     count - error <= true count <= count        and every key with more than total / capacity is kept
 *
 * Counts halve every `windowMs`, so that what was hot is forgotten. Kept in a heap by count in flat arrays: O(log capacity) for each addition, no
 * allocation for a key that is kept.
 */
export class HeavyHitters {
  readonly #capacity: number;
  readonly #windowMs: number;
  /** Key -> place in the heap; the arrays by place, the rarest at 0. */
  readonly #places = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #counts: Float64Array;
  readonly #errors: Float64Array;
  #total = 0;
  #halvedAt = Number.NEGATIVE_INFINITY;

  constructor(capacity: number, windowMs: number) {
    this.#capacity = capacity;
    this.#windowMs = windowMs;
    this.#counts = new Float64Array(capacity);
    this.#errors = new Float64Array(capacity);
  }

  /** Counts `weight` more for a key, and gives how much it has for certain. */
  add(key: string, weight: number, now: number): number {
    this.#forget(now);
    this.#total += weight;
    let place = this.#places.get(key);
    if (place === undefined) {
      if (this.#keys.length < this.#capacity) {
        place = this.#keys.length;
        this.#keys.push(key);
        this.#counts[place] = this.#errors[place] = 0;
        this.#places.set(key, place);
        this.#counts[place] = weight;
        this.#up(place);
        return weight;
      }
      place = 0;
      this.#places.delete(this.#keys[0]);
      this.#keys[0] = key;
      this.#places.set(key, 0);
      this.#errors[0] = this.#counts[0];
    }
    this.#counts[place] += weight;
    const certain = this.#counts[place] - this.#errors[place];
    this.#down(place);
    return certain;
  }

  /** Of everything that was counted, with its age's weight. */
  get total(): number {
    return this.#total;
  }

  get keys(): number {
    return this.#keys.length;
  }

  /** What a key has at least and at most; 0 and 0 when it is not kept. */
  boundsOf(key: string): readonly [least: number, most: number] {
    const place = this.#places.get(key);
    return place === undefined ? [0, 0] : [this.#counts[place] - this.#errors[place], this.#counts[place]];
  }

  #forget(now: number): void {
    if (this.#halvedAt === Number.NEGATIVE_INFINITY) this.#halvedAt = now;
    const halvings = Math.floor((now - this.#halvedAt) / this.#windowMs);
    if (halvings <= 0) return;
    this.#halvedAt += halvings * this.#windowMs;
    const factor = 0.5 ** halvings; // the order stays
    for (let place = 0; place < this.#keys.length; place++) {
      this.#counts[place] *= factor;
      this.#errors[place] *= factor;
    }
    this.#total *= factor;
  }

  #up(place: number): void {
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (this.#counts[parent] <= this.#counts[place]) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #down(place: number): void {
    const size = this.#keys.length;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= size) return;
      const child = left + 1 < size && this.#counts[left + 1] < this.#counts[left] ? left + 1 : left;
      if (this.#counts[place] <= this.#counts[child]) return;
      this.#swap(place, child);
      place = child;
    }
  }

  #swap(one: number, other: number): void {
    const key = this.#keys[one];
    this.#keys[one] = this.#keys[other];
    this.#keys[other] = key;
    this.#places.set(this.#keys[one], one);
    this.#places.set(key, other);
    const count = this.#counts[one];
    this.#counts[one] = this.#counts[other];
    this.#counts[other] = count;
    const error = this.#errors[one];
    this.#errors[one] = this.#errors[other];
    this.#errors[other] = error;
  }
}
