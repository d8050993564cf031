/**
 * The streams that we reset while the peer may still have been sending: its frames for them are on their way and no fault of its. Remembers
 * the last `KEPT` ids; older ones get the benefit of the doubt.
 */
export class ResetIds {
  #ids: Float64Array | null = null;
  #next = 0;
  #forgotten = 0;

  add(id: number): void {
    this.#ids ??= new Float64Array(KEPT);
    const slot = this.#next++ % KEPT;
    if (this.#ids[slot] > this.#forgotten) this.#forgotten = this.#ids[slot];
    this.#ids[slot] = id;
  }

  has(id: number): boolean {
    return this.#ids !== null && (id <= this.#forgotten || this.#ids.includes(id));
  }
}

const KEPT = 128;
