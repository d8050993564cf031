import { CacheStore } from "./cache-store.ts";

/** The stores of a process, one for each policy that has a cache; kept across snapshots, and freed with their policy. */
export class CacheStores {
  readonly #stores = new Map<string, CacheStore>();

  of(source: string, maxBytes: number): CacheStore {
    let store = this.#stores.get(source);
    if (store === undefined) this.#stores.set(source, (store = new CacheStore(maxBytes)));
    else if (store.maxBytes !== maxBytes) store.setMaxBytes(maxBytes);
    return store;
  }

  /** Drops what belongs to none of these policies. */
  keep(sources: ReadonlySet<string>): void {
    for (const source of this.#stores.keys()) if (!sources.has(source)) this.#stores.delete(source);
  }

  /** By the name of its policy. */
  *states(): Generator<readonly [string, CacheStore]> {
    yield* this.#stores;
  }
}
