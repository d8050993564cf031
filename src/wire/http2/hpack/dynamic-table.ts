import type { Field } from "./field.ts";

/**
 * The decoder's dynamic table: newest first, evicting the oldest. Source: RFC 7541 sections 2.3.2 and 4.
 *
 * `generation` changes whenever the meaning of an index does; a block read under one generation means the same as long as it lasts.
 */
export class DynamicTable {
  generation = 0;
  size = 0;
  /** Entries now held. */
  length = 0;
  maxSize: number;
  /** A ring; the newest entry is at `newest`. Made on the first insertion: most servers' peers need it, idle connections do not. */
  #ring: (Field | undefined)[] = [];
  #newest = 0;

  constructor(maxSize: number) {
    this.maxSize = maxSize;
  }

  /** The entry at `index`, 0 being the newest; undefined when there is none. */
  at(index: number): Field | undefined {
    if (index >= this.length) return undefined;
    return this.#ring[(this.#newest - index) & (this.#ring.length - 1)];
  }

  insert(field: Field): void {
    this.generation++;
    this.#evictTo(this.maxSize - field.size);
    if (field.size > this.maxSize) return; // an entry larger than the table only empties it
    if (this.length === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.length++;
    this.size += field.size;
  }

  resize(maxSize: number): void {
    this.generation++;
    this.maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  #evictTo(size: number): void {
    while (this.length > 0 && this.size > size) {
      const oldest = (this.#newest - this.length + 1) & (this.#ring.length - 1);
      this.size -= (this.#ring[oldest] as Field).size;
      this.#ring[oldest] = undefined;
      this.length--;
    }
  }

  #grow(): void {
    const grown: (Field | undefined)[] = new Array(Math.max(16, this.#ring.length * 2)).fill(undefined);
    for (let i = 0; i < this.length; i++) grown[this.length - 1 - i] = this.at(i);
    this.#ring = grown;
    this.#newest = this.length - 1;
  }
}
