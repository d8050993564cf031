/**
 * Smooth weighted turns: earliest deadline first, as Envoy's EdfScheduler. In virtual time member i is due at (phase_i + k) / weight_i, k = 0, 1, ...;
 * whoever is due next is served. Phases are spread over 0..1, so that members of equal weight do not come in a bunch.
 *
 *     weights a 5, b 1, c 1        a a a b a a c   a a a b a a c        (not a a a a a b c)
 *
 *     D1  Between two turns of i, member j of weight w_j gets floor(w_j / w_i) or ceil(w_j / w_i) turns: nobody is served in bursts.
 *     D2  After any number of turns i has had its share to within one turn of its own and one of each other member.
 *
 * O(log n) a turn, in flat arrays.
 */
export class DeadlineQueue {
  /** Member indexes, as a binary heap by deadline. */
  #heap = new Int32Array(0);
  /** By member index. */
  #due = new Float64Array(0);
  /** As of the last fill. */
  #weights = new Float64Array(0);
  #slots: number[] = [];
  #now = 0;

  /**
   * Has these members with these weights from now on. Those that were there (by slot) keep their place in line: what is left of their time to the next
   * turn is scaled by the change of their weight, or else one whose weight was of another size would be starved or served in bursts.
   */
  fill(slots: readonly number[], weightAt: (index: number) => number): void {
    const count = slots.length;
    const before = new Map<number, number>();
    this.#slots.forEach((slot, i) => {
      before.set(slot, (this.#due[i] - this.#now) * this.#weights[i]);
    });
    const weights = new Float64Array(count);
    const heap = new Int32Array(count);
    const due = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      heap[i] = i;
      weights[i] = weightAt(i);
      due[i] = this.#now + (before.get(slots[i]) ?? (i + 0.5) / count) / weights[i];
    }
    this.#heap = heap;
    this.#due = due;
    this.#weights = weights;
    this.#slots = [...slots];
    for (let at = (count >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** Whose turn it is; there must be members. */
  first(): number {
    return this.#heap[0];
  }

  /** The first has had its turn, with this weight. */
  served(weight: number): void {
    const first = this.#heap[0];
    this.#now = this.#due[first];
    this.#due[first] += 1 / weight;
    this.#sink(0);
  }

  #sink(at: number): void {
    const heap = this.#heap;
    const due = this.#due;
    const count = heap.length;
    const moved = heap[at];
    const deadline = due[moved];
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && due[heap[child + 1]] < due[heap[child]]) child++;
      if (due[heap[child]] >= deadline) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = moved;
  }
}
