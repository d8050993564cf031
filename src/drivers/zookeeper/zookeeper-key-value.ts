import { type Clock, systemClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem, type KeyValueWatch } from "../../settings/key-value.ts";
import { assertKey, assertValue, storeClosed } from "../../settings/key-value-check.ts";
import { KeyWatchers } from "../../settings/key-watchers.ts";
import { ZookeeperClient } from "./zookeeper-client.ts";
import type { ZookeeperConnection } from "./zookeeper-connection.ts";
import { type NodeData, REFUSED, type WatchEvent } from "./zookeeper-messages.ts";
import { keyOfName, makeFolders, nameIn, ZookeeperPaths } from "./zookeeper-paths.ts";
import { refusalOf } from "./zookeeper-refusal.ts";
import { parseZookeeperUrl } from "./zookeeper-url.ts";

export interface ZookeeperKeyValueOptions {
  /** "zookeeper://user:password@h1:2181,h2:2181/PREFIX?ca=ca.pem" (zookeeper-url.ts). */
  url: string;
  /** Whose keys they are: systems that share a ZooKeeper do not see each other. */
  system: string;
  /** How long opening waits for a server, ms. Default 10,000. */
  openTimeoutMs?: number;
  clock?: Clock;
  random?: Random;
  /** Told that no server is reached. Default: nobody is told. */
  onError?: (error: WeftError) => void;
  /** Told that a server is reached again. */
  onRecovered?: () => void;
}

/**
 * Keys in a ZooKeeper (3.6 and later). A version is the transaction that wrote the value last, which no two have in common. Rejects as openZookeeperRegistry does.
 */
export async function openZookeeperKeyValue(options: ZookeeperKeyValueOptions): Promise<KeyValue> {
  const store = new ZookeeperKeyValue(options);
  try {
    await store.opened(options.openTimeoutMs ?? 10_000);
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
  return store;
}

class ZookeeperKeyValue implements KeyValue {
  readonly #paths: ZookeeperPaths;
  readonly #client: ZookeeperClient;
  readonly #watchers: KeyWatchers;
  /** Counts what is heard of changes, and the times when some may not have been. */
  #heard = 0;
  #closed = false;

  constructor({ url, system, clock = systemClock, random = systemRandom, ...told }: ZookeeperKeyValueOptions) {
    const target = parseZookeeperUrl(url);
    assertServiceName(system, "system");
    this.#paths = new ZookeeperPaths(target.prefix, system);
    this.#watchers = new KeyWatchers((key) => this.#client.call((connection) => this.#read(connection, key)), clock);
    this.#client = new ZookeeperClient({
      target,
      clock,
      random,
      sessionTimeoutMs: SESSION_MS,
      onConnection: (connection) => this.#follow(connection),
      onWatch: (event) => this.#take(event),
      onBeat: () => {},
      onChange: (lost) => (lost === null ? told.onRecovered?.() : told.onError?.(lost)),
      closed: storeClosed,
    });
  }

  async opened(timeoutMs: number): Promise<void> {
    await this.#client.call(async () => {}, timeoutMs);
  }

  async get(key: string): Promise<KeyValueItem | null> {
    this.#assertOpen();
    assertKey(key);
    return await this.#client.call((connection) => {
      const barrier = connection.barrier(this.#paths.barrier);
      const read = this.#read(connection, key);
      return both(barrier, read);
    });
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    this.#assertOpen();
    assertKey(prefix);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const items = await this.#client.call((connection) => this.#listOnce(connection, prefix));
      if (items !== null) return items;
    }
    const text = `what is below ${prefix} changed each of the ${MAX_TRIES} times that it was listed`;
    throw new WeftError("unavailable", text, { reason: "STORE_BUSY", retryable: true });
  }

  async keys(prefix: string): Promise<readonly string[]> {
    this.#assertOpen();
    assertKey(prefix);
    return await this.#client.call(async (connection) => {
      const barrier = connection.barrier(this.#paths.barrier);
      const names = await both(barrier, connection.children(this.#paths.store));
      return below(prefix, names).map(keyOfName);
    });
  }

  async put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    this.#assertOpen();
    assertKey(key);
    assertValue(key, value);
    const data = new Uint8Array(value);
    const path = this.#paths.value(key);
    const version = expected === ANY ? -1 : expected === ABSENT ? null : expected;
    return await this.#client.call(async (connection) => {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        if (typeof version === "string") {
          const at = await this.#at(connection, key);
          if (at.found === null || versionOf(at.found) !== version) return null;
          const set = { op: "set" as const, path, data, version: at.found.stat.version };
          const outcome = await connection.change(this.#noneDeleted(at), set);
          if (outcome.zxid !== null) return String(outcome.zxid);
          if (outcome.index === 1) return null; // somebody else was first
          continue; // some key was deleted: this one, or another
        }
        if (version !== null) {
          const outcome = await connection.change({ op: "set", path, data, version });
          if (outcome.zxid !== null) return String(outcome.zxid);
        }
        const { access } = connection;
        const outcome = await connection.change({ op: "create", path, data, ephemeral: false, access });
        if (outcome.zxid !== null) return String(outcome.zxid);
        if (outcome.code === REFUSED.noNode) throw refusalOf(outcome.code, connection.address, `to make ${path}`);
        if (version === null) return null;
      }
      throw busy(key);
    });
  }

  async delete(key: string, expected: string): Promise<boolean> {
    this.#assertOpen();
    assertKey(key);
    const path = this.#paths.value(key);
    return await this.#client.call(async (connection) => {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const at = await this.#at(connection, key, expected !== ANY);
        if (at.found === null) return expected === ANY || expected === ABSENT;
        if (expected !== ANY && versionOf(at.found) !== expected) return false;
        const mark = { op: "set" as const, path: this.#paths.deletions, data: new Uint8Array(0) };
        const outcome =
          expected === ANY
            ? await connection.change({ ...mark, version: -1 }, { op: "delete", path, version: -1 })
            : await connection.change(
                { ...mark, version: at.deletions },
                { op: "delete", path, version: at.found.stat.version },
              );
        if (outcome.zxid !== null) return true;
        if (outcome.index === 1 && expected !== ANY) return false;
      }
      throw busy(key);
    });
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    this.#assertOpen();
    assertKey(key);
    return this.#watchers.watch(key, listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#watchers.close();
    await this.#client.close(true);
  }

  async #follow(connection: ZookeeperConnection): Promise<void> {
    await makeFolders(connection, this.#paths.ofStore);
    await connection.addWatch(this.#paths.store);
    await connection.barrier(this.#paths.barrier);
    this.#heard++;
    this.#watchers.changedAll();
  }

  #take({ path }: WatchEvent): void {
    this.#heard++;
    const name = nameIn(this.#paths.store, path);
    if (name !== null) this.#watchers.changed(keyOfName(name));
  }

  /** As new as what this connection was told of: a barrier makes it as new as can be. */
  async #read(connection: ZookeeperConnection, key: string): Promise<KeyValueItem | null> {
    const found = await connection.get(this.#paths.value(key));
    return found === null ? null : itemOf(key, found);
  }

  /** A key and how often keys were deleted before it was read: a change that holds both holds for this node and for no later one of its name. */
  async #at(connection: ZookeeperConnection, key: string, exact = true): Promise<Found> {
    const barrier = connection.barrier(this.#paths.barrier);
    const deletions = connection.exists(this.#paths.deletions);
    const found = connection.get(this.#paths.value(key));
    await both(barrier, Promise.all([deletions, found]));
    const stat = await deletions;
    if (exact && stat === null) throw refusalOf(REFUSED.noNode, connection.address, `to read ${this.#paths.deletions}`);
    return { found: await found, deletions: stat?.version ?? 0 };
  }

  #noneDeleted({ deletions }: Found) {
    return { op: "check" as const, path: this.#paths.deletions, version: deletions };
  }

  /** Null: something changed meanwhile. */
  async #listOnce(connection: ZookeeperConnection, prefix: string): Promise<KeyValueItem[] | null> {
    const barrier = connection.barrier(this.#paths.barrier);
    const { store } = this.#paths;
    const names = below(prefix, await both(barrier, connection.children(store)));
    const items: KeyValueItem[] = [];
    const heard = this.#heard;
    for (let at = 0; at < names.length; at += PAGE) {
      const page = names.slice(at, at + PAGE);
      const read = await connection.readMany(
        store,
        page.map((name) => `${store}/${name}`),
      );
      // Each page is of one moment, and all of them are when nothing was heard between.
      if (!same(below(prefix, read.names), names) || read.nodes.includes(null)) return null;
      if (at > 0 && this.#heard !== heard) return null;
      for (const [index, node] of read.nodes.entries())
        if (node !== null) items.push(itemOf(keyOfName(page[index]), node));
    }
    return items;
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

interface Found {
  readonly found: NodeData | null;
  readonly deletions: number;
}

function itemOf(key: string, found: NodeData): KeyValueItem {
  return { key, value: found.data, version: versionOf(found) };
}

function versionOf({ stat }: NodeData): string {
  return String(stat.mzxid);
}

/** By key, ascending. */
function below(prefix: string, names: readonly string[] | null): string[] {
  const begin = `${prefix.replaceAll("/", ":")}:`;
  const found = (names ?? []).filter((name) => name.startsWith(begin));
  return found.sort((a, b) => (keyOfName(a) < keyOfName(b) ? -1 : 1));
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}

/** What the second resolves with, when the first has, too. */
async function both<T>(first: Promise<unknown>, second: Promise<T>): Promise<T> {
  return (await Promise.all([first, second]))[1];
}

function busy(key: string): WeftError {
  const text = `others changed ${key}, or deleted keys, each of the ${MAX_TRIES} times that it was tried; try again`;
  return new WeftError("unavailable", text, { reason: "STORE_BUSY", retryable: true });
}

/** Nothing lives as long as a session of the store. */
const SESSION_MS = 10_000;
/** Values that are read at once: of the largest size, 25 MB. */
const PAGE = 100;
const MAX_TRIES = 50;
