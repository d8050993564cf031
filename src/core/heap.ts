/** A binary heap: whatever comes before all others is first. Items can be told their place in it, so that each can leave at once. */
export class Heap<T> {
  readonly #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;
  readonly #placed: (item: T, place: number) => void;

  /** `placed` is told where an item lies whenever that changes; -1 when it has left. */
  constructor(before: (a: T, b: T) => boolean, placed: (item: T, place: number) => void = () => undefined) {
    this.#before = before;
    this.#placed = placed;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  /** Takes the first out. */
  take(): T | undefined {
    const first = this.#items[0];
    if (first !== undefined) this.removeAt(0);
    return first;
  }

  removeAt(place: number): void {
    const items = this.#items;
    const item = items[place];
    const last = items.pop() as T;
    this.#placed(item, -1);
    if (last === item) return;
    const parent = (place - 1) >> 1;
    if (place > 0 && this.#before(last, items[parent])) this.#rise(last, place);
    else this.#sink(last, place);
  }

  #rise(item: T, from: number): void {
    const items = this.#items;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = items[parent];
      if (!this.#before(item, other)) break;
      items[at] = other;
      this.#placed(other, at);
      at = parent;
    }
    items[at] = item;
    this.#placed(item, at);
  }

  #sink(item: T, from: number): void {
    const items = this.#items;
    const { length } = items;
    let at = from;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#before(items[child + 1], items[child])) child++;
      const other = items[child];
      if (!this.#before(other, item)) break;
      items[at] = other;
      this.#placed(other, at);
      at = child;
    }
    items[at] = item;
    this.#placed(item, at);
  }
}
