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
 *     reaching --not for 3 s, and another one does--> cut off --reached again--> reaching
 *
 * Where nobody reaches it, nobody is cut off: the lines stay, since they would be no better elsewhere.
 */
export class CutOff {
  readonly #options: CutOffOptions;
  #reachedAt: number;
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
    this.#cancel = this.#options.clock.after(EVERY_MS, () => void this.#look().finally(() => this.#wait()));
  }

  async #look(): Promise<void> {
    const { clock, othersReach } = this.#options;
    const reaches = await this.reaches();
    const now = clock.now();
    if (reaches) this.#reachedAt = now;
    if (reaches || now - this.#reachedAt >= AWAY_MS)
      await this.#become(!reaches && (this.#cutOff || (await othersReach())));
  }

  async #become(cutOff: boolean): Promise<void> {
    if (cutOff === this.#cutOff || this.#closed) return;
    this.#cutOff = cutOff;
    this.#options.onChange(cutOff);
  }
}

const EVERY_MS = 1_000;
const PATIENCE_MS = 1_000;
/** Leases last several times as long. */
const AWAY_MS = 3_000;
