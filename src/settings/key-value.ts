/**
 * A small linearizable space of keys, in which control planes keep all that must outlive one of them: revisions, contracts, the authority, who leads. One interface for every
 * driver (memory, SQLite, etcd, Consul, ZooKeeper, Kubernetes, PostgreSQL); `key-value.case.ts` is the contract suite that each of them passes.
 *
 * Keys are paths of 1 to 8 parts joined by "/", each 1 to 128 of [A-Za-z0-9._-]; values 0 to 262,144 bytes (`keyValueLimits`). Every operation is atomic and linearizable; one that rejects
 * `unavailable` or `deadline_exceeded` may have been carried out or not. Malformed keys and values too large are refused with `invalid_argument`, and nothing is changed.
 */
export interface KeyValue {
  /** Null: there is none. */
  get(key: string): Promise<KeyValueItem | null>;
  /** All whose key begins with `prefix` + "/", by key, ascending. */
  list(prefix: string): Promise<readonly KeyValueItem[]>;
  /** The same without the values. */
  keys(prefix: string): Promise<readonly string[]>;
  /** Puts a value and resolves with its version when it is durable. `expected`: only if the key's version is this one, ABSENT if there is none, ANY whatever is there. Null: it was not so, and nothing was
   * changed. */
  put(key: string, value: Uint8Array, expected: string): Promise<string | null>;
  /** False: it was not so, and nothing was changed. Deleting what is absent with ANY is true. */
  delete(key: string, expected: string): Promise<boolean>;
  /** First the value that is there now, then the newest after every change (changes close together may come as one); after an interruption the newest again, if it is another one. Never
   * two at once, never from inside watch(). */
  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch;
  /** Ends watches. Idempotent; what is asked afterwards rejects `unavailable` (STORE_CLOSED). */
  close(): Promise<void>;
}

/** A key with its value, as it was at one moment. */
export interface KeyValueItem {
  readonly key: string;
  readonly value: Uint8Array;
  /** Another one after every change of the key, also when it was deleted in between. */
  readonly version: string;
}

/** Tells of a key until it is closed. */
export interface KeyValueWatch {
  close(): void;
}

/** `expected`: whatever is there. */
export const ANY = "any";
/** `expected`: there is none. */
export const ABSENT = "absent";

/** Small enough for every driver (Consul takes 512 KiB in one value, ZooKeeper and ConfigMaps 1 MiB). */
export const keyValueLimits = { maxValueBytes: 262_144, maxKeyParts: 8, maxPartLength: 128 } as const;
