import type { Cancel, Clock } from "../core/clock.ts";
import type { Registry } from "../registry/registry.ts";

/** How old what the registry tells of is, looked at twice a second. */
export class RegistryView {
  readonly #registry: Pick<Registry, "query">;
  readonly #clock: Clock;
  readonly #onCaughtUp: () => void;
  #staleMs = 0;
  #cancel: Cancel = () => {};
  #closed = false;

  /** `onCaughtUp` is told when it is all there is again. */
  constructor(registry: Pick<Registry, "query">, clock: Clock, onCaughtUp: () => void) {
    this.#registry = registry;
    this.#clock = clock;
    this.#onCaughtUp = onCaughtUp;
    void this.#look();
  }

  /** 0: it is all there is. */
  get staleMs(): number {
    return this.#staleMs;
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const staleMs = await this.#registry.query([]).then(
      (list) => list.staleMs,
      () => this.#staleMs,
    );
    if (this.#closed) return;
    const caughtUp = this.#staleMs > 0 && staleMs === 0;
    this.#staleMs = staleMs;
    this.#cancel = this.#clock.after(EVERY_MS, () => void this.#look());
    if (caughtUp) this.#onCaughtUp();
  }
}

const EVERY_MS = 500;
