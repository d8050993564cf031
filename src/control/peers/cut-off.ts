import type { Cancel, Clock } from "../../core/clock.ts";

export interface CutOffOptions {
  readonly clock: Clock;
  /** Rejects when what control planes share is not reached. */
  readonly reach: () => Promise<void>;
  /** Whether another control plane reaches it now. */
  readonly othersReach: () => Promise<boolean>;
  readonly onChange: (cutOff: boolean) => void;
}

/**
 * Whether this control plane alone does not reach what all share.
 *
 *     reaching --not for 3 s, nor when another one has for 2 s--> cut off --reached again--> reaching
 *
 * Where nobody reaches it, nobody is cut off: the lines stay, since they would be no better elsewhere.
 */
export class CutOff {
  readonly #options: CutOffOptions;
  #reachedAt: number;
  /** Since when another one reaches it, and this one does not. */
  #othersSince: number | null = null;
  #cutOff = false;
  #cancel: Cancel = () => {};
  #closed = false;

  constructor(options: CutOffOptions) {
    this.#options = options;
    this.#reachedAt = options.clock.now();
  }

  start(): void {
    this.#reachedAt = this.#options.clock.now();
    this.#wait();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  /** Found out now. */
  reaches(): Promise<boolean> {
    const { clock, reach } = this.#options;
    return new Promise((resolve) => {
      const cancel = clock.after(PATIENCE_MS, () => resolve(false));
      reach()
        .then(
          () => resolve(true),
          () => resolve(false),
        )
        .finally(cancel);
    });
  }

  #wait(): void {
    if (this.#closed) return;
    // Also when it is cut off: its processes wait for it to come back, or have but this one.
    const waitMs = this.#othersSince !== null ? SOON_MS : EVERY_MS;
    this.#cancel = this.#options.clock.after(waitMs, () => void this.#look().finally(() => this.#wait()));
  }

  async #look(): Promise<void> {
    const { clock, othersReach } = this.#options;
    if (await this.reaches()) {
      this.#reachedAt = clock.now();
      this.#othersSince = null;
      return this.#become(false);
    }
    if (this.#cutOff || clock.now() - this.#reachedAt < AWAY_MS) return;
    if (!(await othersReach())) this.#othersSince = null;
    else this.#othersSince ??= clock.now();
    // It may just have come back, and been found by the others a moment earlier.
    if (this.#othersSince !== null && clock.now() - this.#othersSince >= LATER_MS) this.#become(true);
  }

  #become(cutOff: boolean): void {
    if (cutOff === this.#cutOff || this.#closed) return;
    this.#cutOff = cutOff;
    this.#options.onChange(cutOff);
  }
}

const EVERY_MS = 1_000;
const SOON_MS = 250;
/** Several times what one question takes over a line of 200 ms each way. */
const PATIENCE_MS = 2_000;
/** Leases last several times as long. */
const AWAY_MS = 3_000;
const LATER_MS = 2_000;
