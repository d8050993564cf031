/**
 * Counts what a peer does at our expense and to no use of its own: resets of streams just opened, pings, settings, empty frames,
 * window updates, malformed requests. Work that it lets us finish explains some of it. Against rapid reset (CVE-2023-44487), the floods of
 * CVE-2019-9511 to 9518, and CVE-2025-8671.
 */
export class AbuseMeter {
  readonly #max: number;
  #count = 0;
  #since = -1;

  constructor(maxPer30s: number) {
    this.#max = maxPer30s;
  }

  /** True: more than is put up with. */
  add(weight: number): boolean {
    this.#count += weight;
    return this.#count > this.#max;
  }

  /** Something useful was done. */
  explain(weight: number): void {
    this.#count = this.#count > weight ? this.#count - weight : 0;
  }

  tick(now: number): void {
    if (this.#since < 0) this.#since = now;
    if (now - this.#since < PERIOD_MS) return;
    this.#since = now;
    this.#count = 0;
  }
}

const PERIOD_MS = 30_000;
