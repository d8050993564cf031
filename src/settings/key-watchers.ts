import { type Clock, systemClock } from "../core/clock.ts";
import type { KeyValueItem, KeyValueWatch } from "./key-value.ts";

/**
 * KeyValue.watch() for drivers that can read a key and hear, in whatever way, that one may have changed:
 *
 *     changed(key) --marks--> watcher --reads, one read at a time--> listener, when the version is another one
 *
 * So changes that come while a read is under way come as one, and nothing is told twice. A read that fails is made again.
 */
export class KeyWatchers {
  readonly #read: (key: string) => Promise<KeyValueItem | null>;
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Set<Watcher>>();

  constructor(read: (key: string) => Promise<KeyValueItem | null>, clock: Clock = systemClock) {
    this.#read = read;
    this.#clock = clock;
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    const watcher: Watcher = { key, listener, told: undefined, dirty: false, reading: false, closed: false };
    let watchers = this.#byKey.get(key);
    if (watchers === undefined) this.#byKey.set(key, (watchers = new Set()));
    watchers.add(watcher);
    this.#mark(watcher);
    return {
      close: () => {
        watcher.closed = true;
        watchers.delete(watcher);
        if (watchers.size === 0 && this.#byKey.get(key) === watchers) this.#byKey.delete(key);
      },
    };
  }

  /** The keys that somebody watches. */
  keys(): IterableIterator<string> {
    return this.#byKey.keys();
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** It may have changed. */
  changed(key: string): void {
    for (const watcher of this.#byKey.get(key) ?? []) this.#mark(watcher);
  }

  /** Anything may have changed: nothing was heard for a while. */
  changedAll(): void {
    for (const key of this.#byKey.keys()) this.changed(key);
  }

  close(): void {
    for (const watchers of this.#byKey.values()) for (const watcher of watchers) watcher.closed = true;
    this.#byKey.clear();
  }

  #mark(watcher: Watcher): void {
    watcher.dirty = true;
    if (!watcher.reading) void this.#tell(watcher);
  }

  async #tell(watcher: Watcher): Promise<void> {
    watcher.reading = true;
    while (watcher.dirty && !watcher.closed) {
      watcher.dirty = false;
      try {
        const item = await this.#read(watcher.key);
        const version = item === null ? null : item.version;
        if (watcher.closed || version === watcher.told) continue;
        watcher.told = version;
        watcher.listener(item);
      } catch {
        watcher.dirty = true;
        if (!watcher.closed) await new Promise<void>((resolve) => void this.#clock.after(AGAIN_MS, resolve));
      }
    }
    watcher.reading = false;
  }
}

interface Watcher {
  readonly key: string;
  readonly listener: (item: KeyValueItem | null) => void;
  /** Version; null: that there is none; undefined: nothing yet. */
  told: string | null | undefined;
  dirty: boolean;
  reading: boolean;
  closed: boolean;
}

const AGAIN_MS = 1_000;
