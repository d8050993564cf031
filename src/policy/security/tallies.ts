/** Counts of outcomes by label, for metrics: numbers that the machine adds to and whoever exports them reads. */
export class Tallies {
  readonly #counts = new Map<string, Map<string, Tally>>();

  /** Labels come from policy, never from callers. */
  count(label: string, result: string): void {
    let results = this.#counts.get(label);
    if (results === undefined) this.#counts.set(label, (results = new Map()));
    const tally = results.get(result);
    if (tally === undefined) results.set(result, { label, result, count: 1 });
    else tally.count++;
  }

  *[Symbol.iterator](): Generator<Readonly<Tally>> {
    for (const results of this.#counts.values()) yield* results.values();
  }
}

export interface Tally {
  readonly label: string;
  readonly result: string;
  count: number;
}
