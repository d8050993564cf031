/**
 * How long calls of one kind take: the median of the last 50 to 100, none of them older than 20 s or so, to within a fifth. So few, since what it took
 * before the process was overloaded, or while it was, says nothing of what it takes now. Buckets that grow by 2^(1/4) from 10 us on, halved when they hold enough and every 10 s.
 */
export class ServiceTimes {
  readonly #buckets = new Float64Array(BUCKETS);
  #total = 0;
  #halvedAt = Number.NEGATIVE_INFINITY;
  #recorded = 0;
  #medianMs = 0;

  record(ms: number, now: number): void {
    this.#age(now);
    const at = ms <= FIRST_MS ? 0 : Math.ceil(Math.log2(ms / FIRST_MS) * 4 - 1e-9);
    this.#buckets[Math.min(at, BUCKETS - 1)]++;
    if (++this.#total >= MAX_SAMPLES) this.#shrink(0.5);
    // Looked for anew now and then: reading it is for every call.
    if (++this.#recorded % LOOK_EVERY === 0) this.#medianMs = this.#find();
  }

  /** 0 while too few calls are known. */
  medianMs(now: number): number {
    this.#age(now);
    return this.#total < MIN_SAMPLES ? 0 : this.#medianMs;
  }

  /** The lower bound of the bucket that the middle call is in: nobody is called slower than it was. */
  #find(): number {
    let left = this.#total / 2;
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#buckets[i];
      if (left <= 0) return i === 0 ? 0 : FIRST_MS * 2 ** ((i - 1) / 4);
    }
    return 0;
  }

  #age(now: number): void {
    if (this.#halvedAt === Number.NEGATIVE_INFINITY) this.#halvedAt = now;
    const halvings = Math.floor((now - this.#halvedAt) / HALVE_MS);
    if (halvings <= 0) return;
    this.#halvedAt += halvings * HALVE_MS;
    this.#shrink(0.5 ** halvings);
  }

  #shrink(factor: number): void {
    for (let i = 0; i < BUCKETS; i++) this.#buckets[i] *= factor;
    this.#total *= factor;
  }
}

const FIRST_MS = 0.01;
const BUCKETS = 93;
const HALVE_MS = 10_000;
const MIN_SAMPLES = 20;
const MAX_SAMPLES = 100;
const LOOK_EVERY = 8;
