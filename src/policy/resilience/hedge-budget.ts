/**
 * Bounds how much load hedges may add: each call earns `ratio` of a hedge, and no more than MAX_SAVED are saved up. So over any time there are at most
 * ratio x calls + MAX_SAVED hedges, and since a fresh one begins at 0, over a service's life at most ratio x calls. The form of gRPC's retry throttling
 * (gRFC A6), with calls in place of successes, and of Finagle's BackupRequestFilter (maxExtraLoad).
 */
export class HedgeBudget {
  readonly ratio: number;
  #saved = 0;

  constructor(ratio: number) {
    this.ratio = ratio;
  }

  /** A call was made. */
  deposit(): void {
    this.#saved = Math.min(MAX_SAVED, this.#saved + this.ratio);
  }

  /** Takes one hedge out of it; false when there is none. */
  withdraw(): boolean {
    // Twenty times 0.05 is a little less than 1.
    if (this.#saved < 1 - 1e-9) return false;
    this.#saved = Math.max(0, this.#saved - 1);
    return true;
  }

  /** A hedge that was paid for could not be made. */
  refund(): void {
    this.#saved = Math.min(MAX_SAVED, this.#saved + 1);
  }

  /** Whole hedges that may be made now. */
  get left(): number {
    return Math.floor(this.#saved + 1e-9);
  }
}

const MAX_SAVED = 10;
