import { type Clock, systemClock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { BackOff } from "../../link/back-off.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem, type KeyValueWatch } from "../../settings/key-value.ts";
import { assertKey, assertValue, storeClosed } from "../../settings/key-value-check.ts";
import { KeyWatchers } from "../../settings/key-watchers.ts";
import type { DriverOptions } from "../driver-options.ts";
import { ConsulClient } from "./consul-client.ts";
import { parseConsulUrl } from "./consul-url.ts";
import { type KvItem, type KvOperation, KvSpace, nextIndex } from "./kv-space.ts";

/**
 * Keys in Consul's store, below PREFIX/SYSTEM/store/. Rejects `unavailable` when Consul does not answer in time, `unauthenticated` or `permission_denied` when its ACLs refuse, and
 * `invalid_argument` for a url that is none.
 */
export async function openConsulKeyValue(options: DriverOptions): Promise<KeyValue> {
  const { clock = systemClock, random = systemRandom, openTimeoutMs = 10_000 } = options;
  const target = parseConsulUrl(options.url);
  assertServiceName(options.system, "system");
  const client = new ConsulClient(target, clock);
  return openOrClose(
    new ConsulKeyValue(client, new KvSpace(client, `${target.prefix}/${options.system}/store`), clock, random),
    (store) => store.opened(openTimeoutMs),
  );
}

/** Versions are Consul's indexes of the writes; reads ask the leader, which makes sure that it still is (`consistent`). A watched key has one blocking query. */
class ConsulKeyValue implements KeyValue {
  readonly #client: ConsulClient;
  readonly #space: KvSpace;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #watchers: KeyWatchers;
  readonly #followed = new Set<string>();
  #closed = false;

  constructor(client: ConsulClient, space: KvSpace, clock: Clock, random: Random) {
    this.#client = client;
    this.#space = space;
    this.#clock = clock;
    this.#random = random;
    this.#watchers = new KeyWatchers((key) => this.get(key), clock);
  }

  /** Resolves when the store can be written to: what is read without the right to is told by Consul as if it were not there. */
  async opened(timeoutMs: number): Promise<void> {
    const until = this.#clock.now() + timeoutMs;
    const backOff = new BackOff(this.#random, { maxMs: 1_000 });
    for (;;) {
      try {
        await this.#space.transact([{ verb: "set", key: OPENED, value: Buffer.from("1") }]);
        return;
      } catch (thrown) {
        const error = toWeftError(thrown);
        if (error.code !== "unavailable" || this.#clock.now() >= until) throw error;
        await this.#pause(Math.min(backOff.next(), Math.max(0, until - this.#clock.now())));
      }
    }
  }

  async get(key: string): Promise<KeyValueItem | null> {
    this.#assertOpen();
    assertKey(key);
    const items = await this.#ask(() => this.#space.transact([{ verb: "get-or-empty", key: KEYS + key }]));
    const item = items?.[0];
    return item === undefined || item.index === 0 ? null : itemOf(item);
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    this.#assertOpen();
    assertKey(prefix);
    const { items } = await this.#ask(() => this.#space.list(`${KEYS}${prefix}/`));
    return items.map(itemOf).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async keys(prefix: string): Promise<readonly string[]> {
    this.#assertOpen();
    assertKey(prefix);
    const keys = await this.#ask(() => this.#space.keys(`${KEYS}${prefix}/`));
    return keys.map((key) => key.slice(KEYS.length)).sort();
  }

  async put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    this.#assertOpen();
    assertKey(key);
    assertValue(key, value);
    const index = expected === ABSENT ? 0 : indexOf(expected);
    if (expected !== ANY && index === null) return null;
    // Consul takes the same value again for no change; with other flags it is one.
    const at = { key: KEYS + key, value: Uint8Array.from(value), flags: Math.floor(this.#random.next() * 2 ** 48) };
    const operation: KvOperation = index === null ? { verb: "set", ...at } : { verb: "cas", ...at, index };
    const items = await this.#ask(() => this.#space.transact([operation]));
    return items === null ? null : String(items[0].index);
  }

  async delete(key: string, expected: string): Promise<boolean> {
    this.#assertOpen();
    assertKey(key);
    const at = KEYS + key;
    const index = indexOf(expected);
    if (expected !== ANY && expected !== ABSENT && index === null) return false;
    const operations: KvOperation[] = [];
    if (expected === ABSENT) operations.push({ verb: "check-not-exists", key: at });
    else if (index !== null) operations.push({ verb: "check-index", key: at, index });
    if (expected !== ABSENT) operations.push({ verb: "delete", key: at });
    return (await this.#ask(() => this.#space.transact(operations))) !== null;
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    this.#assertOpen();
    assertKey(key);
    if (!this.#followed.has(key) && this.#followed.size >= MAX_WATCHED) {
      const text = `${this.#followed.size} keys are watched already; one store watches at most ${MAX_WATCHED}`;
      throw new WeftError("resource_exhausted", text, { reason: "TOO_MANY_WATCHES" });
    }
    const watch = this.#watchers.watch(key, listener);
    if (!this.#followed.has(key)) void this.#follow(key);
    return watch;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watchers.close();
    this.#client.close();
  }

  /** Asks for changes of a key for as long as somebody watches it. */
  async #follow(key: string): Promise<void> {
    this.#followed.add(key);
    const backOff = new BackOff(this.#random, { maxMs: 1_000 });
    let index = 0;
    while (!this.#closed && this.#watchers.has(key)) {
      try {
        const now = await this.#space.index(KEYS + key, index, WAIT_MS);
        backOff.reset();
        if (now !== index) this.#watchers.changed(key);
        // Without an index the query would not wait.
        if (now === 0) await this.#pause(WAIT_MS);
        index = nextIndex(index, now);
      } catch {
        index = 0;
        await this.#pause(backOff.next());
      }
    }
    this.#followed.delete(key);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(ms, resolve));
  }

  async #ask<T>(what: () => Promise<T>): Promise<T> {
    try {
      return await what();
    } catch (thrown) {
      throw this.#closed ? storeClosed() : thrown;
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

function itemOf({ key, value, index }: KvItem): KeyValueItem {
  return { key: key.slice(KEYS.length), value, version: String(index) };
}

/** Null for what was never a version. */
function indexOf(version: string): number | null {
  return /^[1-9]\d{0,15}$/.test(version) && Number.isSafeInteger(Number(version)) ? Number(version) : null;
}

const KEYS = "keys/";
const OPENED = "opened";
const WAIT_MS = 2_000;
/** Each takes a connection; some are left for all else. */
const MAX_WATCHED = 24;
