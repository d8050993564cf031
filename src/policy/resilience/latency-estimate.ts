/**
 * Quantiles of a latency as it has been lately: counts in buckets that grow by 2^(1/8), so that a quantile is known within 9 %, from 0.1 ms to 100 s.
 * Old counts fade by e in `decayMs` (forward decay: Cormode, Shkapenyuk, Srivastava and Xu, ICDE 2009): instead of lowering all counts as time goes on,
 * newer ones weigh more, and all are scaled down now and then.
 *
 *     E1  No answer is given on less than MIN_SAMPLES of the last while, nor than one sample beyond the quantile.
 *     E2  The quantile that is told is the upper edge of its bucket: at most the share 1 - q of like latencies are longer.
 */
export class LatencyEstimate {
  readonly #counts = new Float64Array(BUCKETS);
  readonly #decayMs: number;
  #total = 0;
  /** When a sample weighed 1. */
  #epoch = 0;
  #told = -1;
  #toldAt = Number.NEGATIVE_INFINITY;
  #toldFor = 0;

  constructor(decayMs = 60_000) {
    this.#decayMs = decayMs;
  }

  record(ms: number, now: number): void {
    let weight = Math.exp((now - this.#epoch) / this.#decayMs);
    if (weight > MAX_WEIGHT) {
      this.#rebase(now);
      weight = 1;
    }
    const at = ms <= FIRST_MS ? 0 : Math.ceil(Math.log2(ms / FIRST_MS) * PER_OCTAVE - 1e-9);
    this.#counts[Math.min(at, BUCKETS - 1)] += weight;
    this.#total += weight;
  }

  /** The q-quantile, ms; -1 while too little is known. Found again ten times a second. */
  quantile(q: number, now: number): number {
    if (q === this.#toldFor && this.#told >= 0 && now - this.#toldAt < REFRESH_MS) return this.#told;
    this.#told = this.#find(q, now);
    this.#toldFor = q;
    this.#toldAt = now;
    return this.#told;
  }

  /** Samples known of, as they weigh now. */
  samples(now: number): number {
    return this.#total / Math.exp((now - this.#epoch) / this.#decayMs);
  }

  #find(q: number, now: number): number {
    if (this.samples(now) < Math.max(MIN_SAMPLES, 1 / (1 - q)) - 0.5) return -1;
    let rank = q * this.#total;
    for (let i = 0; i < BUCKETS; i++) {
      rank -= this.#counts[i];
      if (rank <= 0) return FIRST_MS * 2 ** (i / PER_OCTAVE);
    }
    return FIRST_MS * 2 ** ((BUCKETS - 1) / PER_OCTAVE);
  }

  #rebase(now: number): void {
    const scale = Math.exp((this.#epoch - now) / this.#decayMs);
    for (let i = 0; i < BUCKETS; i++) this.#counts[i] *= scale;
    this.#total *= scale;
    this.#epoch = now;
  }
}

const FIRST_MS = 0.1;
const PER_OCTAVE = 8;
/** 0.1 ms x 2^20 is 105 s. */
const BUCKETS = 20 * PER_OCTAVE + 1;
const MAX_WEIGHT = 1e6;
const MIN_SAMPLES = 20;
const REFRESH_MS = 100;
