import type { Cancel, Clock } from "../core/clock.ts";
import type { Registry } from "../registry/registry.ts";

/** How old what the registry tells of is, looked at twice a second. */
export class RegistryView {
  readonly #registry: Pick<Registry, "query">;
  readonly #clock: Clock;
  readonly #onCaughtUp: () => void;
  readonly #startedAt: number;
  #staleMs = 0;
  /** A registry without endpoints at the start may have lost them: processes that come back have not all said which. */
  #learning = false;
  #cancel: Cancel = () => {};
  #closed = false;

  /** `onCaughtUp` is told when it is all there is again. */
  constructor(registry: Pick<Registry, "query">, clock: Clock, onCaughtUp: () => void) {
    this.#registry = registry;
    this.#clock = clock;
    this.#onCaughtUp = onCaughtUp;
    this.#startedAt = clock.now();
    void this.#learn();
    void this.#look();
  }

  /** 0: it is all there is. */
  get staleMs(): number {
    return this.#learning ? Math.max(1, this.#staleMs) : this.#staleMs;
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  async #learn(): Promise<void> {
    const { endpoints } = await this.#registry.query(["*"]).catch(() => ({ endpoints: [] }));
    this.#learning = endpoints.length === 0;
  }

  async #look(): Promise<void> {
    const staleMs = await this.#registry.query([]).then(
      (list) => list.staleMs,
      () => this.#staleMs,
    );
    if (this.#closed) return;
    const before = this.staleMs;
    this.#staleMs = staleMs;
    if (this.#clock.now() - this.#startedAt >= LEARN_MS) this.#learning = false;
    const caughtUp = before > 0 && this.staleMs === 0;
    this.#cancel = this.#clock.after(EVERY_MS, () => void this.#look());
    if (caughtUp) this.#onCaughtUp();
  }
}

const EVERY_MS = 500;
/** By then processes are back that were here before. */
const LEARN_MS = 4_000;
