/** Lets so much work be done at once; the rest waits, in the order in which it came. */
export class AtMost {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #first = 0;
  #working = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  async do<T>(work: () => Promise<T>): Promise<T> {
    if (this.#working >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#working++;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  /** Whoever waits longest takes the place of who is done. */
  #next(): void {
    if (this.#first === this.#waiting.length) {
      this.#working--;
      return;
    }
    this.#waiting[this.#first++]();
    if (this.#first < 1_000 || this.#first * 2 < this.#waiting.length) return;
    this.#waiting.splice(0, this.#first);
    this.#first = 0;
  }
}
