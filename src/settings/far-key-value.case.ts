import { WeftError } from "../core/errors.ts";
import type { KeyValue, KeyValueItem, KeyValueWatch } from "./key-value.ts";
import { MemoryKeyValue } from "./memory-key-value.ts";

/** A store as somebody reads it from elsewhere: told of changes by its watches, and without an answer to reads while it is `away`. */
export class FarKeyValue extends MemoryKeyValue {
  away = false;
  readonly #store: KeyValue;

  constructor(store: KeyValue) {
    super();
    this.#store = store;
  }

  override async get(key: string): Promise<KeyValueItem | null> {
    if (this.away) throw new WeftError("unavailable", key);
    return this.#store.get(key);
  }

  override keys(prefix: string): Promise<readonly string[]> {
    return this.#store.keys(prefix);
  }

  override watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    return this.#store.watch(key, listener);
  }
}
