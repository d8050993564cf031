import { Heap } from "../../core/heap.ts";

/** What is to happen at which time, first things first; of the same time in the order in which they were put in. */
export class Agenda {
  readonly #items = new Heap<Item>(before);
  #order = 0;

  at(at: number, run: (now: number) => void): void {
    this.#items.push({ at, order: this.#order++, run });
  }

  /** Runs everything, also what is put in meanwhile. */
  run(): void {
    for (let item = this.#items.take(); item !== undefined; item = this.#items.take()) item.run(item.at);
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
