/** What is to happen at which time, first things first; of the same time in the order in which they were put in. A binary heap. */
export class Agenda {
  readonly #heap: Item[] = [];
  #order = 0;

  at(at: number, run: (now: number) => void): void {
    const heap = this.#heap;
    const item = { at, order: this.#order++, run };
    heap.push(item);
    let index = heap.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(item, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = item;
  }

  /** Runs everything, also what is put in meanwhile. */
  run(): void {
    for (let item = this.#take(); item !== null; item = this.#take()) item.run(item.at);
  }

  #take(): Item | null {
    const heap = this.#heap;
    if (heap.length === 0) return null;
    const first = heap[0];
    const last = heap.pop() as Item;
    if (heap.length > 0) {
      let index = 0;
      for (;;) {
        let child = index * 2 + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], last)) break;
        heap[index] = heap[child];
        index = child;
      }
      heap[index] = last;
    }
    return first;
  }
}

interface Item {
  readonly at: number;
  readonly order: number;
  readonly run: (now: number) => void;
}

function before(a: Item, b: Item): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
