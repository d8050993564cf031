import type { Clock } from "../core/clock.ts";
import { toWeftError } from "../core/errors.ts";
import type { KeyValue, KeyValueItem, KeyValueWatch } from "../settings/key-value.ts";

/** A store, and how long it has not answered. */
export class ObservedStore implements KeyValue {
  readonly #store: KeyValue;
  readonly #clock: Clock;
  /** When what is under way was asked, oldest first. */
  readonly #asked = new Set<{ readonly atMs: number }>();
  #failingSince: number | null = null;

  constructor(store: KeyValue, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** 0: it answered when it was asked last. */
  get awayMs(): number {
    const now = this.#clock.now();
    const [oldest] = this.#asked;
    const silentMs = oldest === undefined ? 0 : now - oldest.atMs;
    const failingMs = this.#failingSince === null ? 0 : now - this.#failingSince;
    return Math.max(failingMs, silentMs >= SILENT_MS ? silentMs : 0);
  }

  get(key: string): Promise<KeyValueItem | null> {
    return this.#observe(() => this.#store.get(key));
  }

  list(prefix: string): Promise<readonly KeyValueItem[]> {
    return this.#observe(() => this.#store.list(prefix));
  }

  keys(prefix: string): Promise<readonly string[]> {
    return this.#observe(() => this.#store.keys(prefix));
  }

  put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    return this.#observe(() => this.#store.put(key, value, expected));
  }

  delete(key: string, expected: string): Promise<boolean> {
    return this.#observe(() => this.#store.delete(key, expected));
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    return this.#store.watch(key, listener);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #observe<T>(ask: () => Promise<T>): Promise<T> {
    const asked = { atMs: this.#clock.now() };
    this.#asked.add(asked);
    try {
      const answer = await ask();
      this.#failingSince = null;
      return answer;
    } catch (thrown) {
      const { code } = toWeftError(thrown);
      // What it refuses it has answered.
      if (code === "unavailable" || code === "deadline_exceeded") this.#failingSince ??= asked.atMs;
      throw thrown;
    } finally {
      this.#asked.delete(asked);
    }
  }
}

const SILENT_MS = 1_000;
