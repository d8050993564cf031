/** Lets work on the same name be done one after the other, in the order in which it came. */
export class InTurn {
  readonly #last = new Map<string, Promise<unknown>>();

  take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const done = before === undefined ? work() : before.then(work, work);
    this.#last.set(name, done);
    const clear = (): void => {
      if (this.#last.get(name) === done) this.#last.delete(name);
    };
    done.then(clear, clear);
    return done;
  }
}
