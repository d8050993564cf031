import { ABSENT, ANY, type KeyValue, type KeyValueItem, type KeyValueWatch } from "./key-value.ts";
import { assertKey, assertValue, storeClosed } from "./key-value-check.ts";
import { KeyWatchers } from "./key-watchers.ts";

/** Keeps everything in this process, for as long as it lives. */
export class MemoryKeyValue implements KeyValue {
  readonly #items = new Map<string, KeyValueItem>();
  readonly #watchers = new KeyWatchers((key) => Promise.resolve(this.#items.get(key) ?? null));
  #versions = 0;
  #closed = false;

  async get(key: string): Promise<KeyValueItem | null> {
    this.#assertOpen();
    assertKey(key);
    return this.#items.get(key) ?? null;
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    return (await this.keys(prefix)).map((key) => this.#items.get(key) as KeyValueItem);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    this.#assertOpen();
    assertKey(prefix);
    return [...this.#items.keys()].filter((key) => key.startsWith(`${prefix}/`)).sort();
  }

  async put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    this.#assertOpen();
    assertKey(key);
    assertValue(key, value);
    if (!this.#holds(key, expected)) return null;
    const version = String(++this.#versions);
    this.#items.set(key, Object.freeze({ key, value: Uint8Array.from(value), version }));
    this.#watchers.changed(key);
    return version;
  }

  async delete(key: string, expected: string): Promise<boolean> {
    this.#assertOpen();
    assertKey(key);
    if (!this.#holds(key, expected)) return false;
    if (this.#items.delete(key)) this.#watchers.changed(key);
    return true;
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    this.#assertOpen();
    assertKey(key);
    return this.#watchers.watch(key, listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watchers.close();
  }

  #holds(key: string, expected: string): boolean {
    return expected === ANY || (this.#items.get(key)?.version ?? ABSENT) === expected;
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}
