import { systemClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import { systemRandom } from "../../core/random.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem, type KeyValueWatch } from "../../settings/key-value.ts";
import { assertKey, assertValue, storeClosed } from "../../settings/key-value-check.ts";
import { KeyWatchers } from "../../settings/key-watchers.ts";
import type { DriverEvents, DriverOptions } from "../driver-options.ts";
import { ZookeeperClient } from "./zookeeper-client.ts";
import type { ZookeeperConnection } from "./zookeeper-connection.ts";
import type { NodeData, WatchEvent } from "./zookeeper-messages.ts";
import { ZookeeperNodes } from "./zookeeper-nodes.ts";
import { keyOfName, nameIn, ZookeeperPaths } from "./zookeeper-paths.ts";
import { parseZookeeperUrl } from "./zookeeper-url.ts";

/**
 * Keys in a ZooKeeper (3.6 and later). A version is the transaction that wrote the value last, which no two have in common, behind the moment when the store was made: transactions
 * begin again when data are lost. Rejects as openZookeeperRegistry does.
 */
export async function openZookeeperKeyValue(options: DriverOptions & DriverEvents): Promise<KeyValue> {
  return openOrClose(new ZookeeperKeyValue(options), (store) => store.opened(options.openTimeoutMs ?? 10_000));
}

class ZookeeperKeyValue implements KeyValue {
  readonly #paths: ZookeeperPaths;
  readonly #nodes: ZookeeperNodes;
  readonly #client: ZookeeperClient;
  readonly #watchers: KeyWatchers;
  /** Counts what is heard of changes, and the times when some may not have been. */
  #heard = 0;
  /** Of the data in use: begins their versions. */
  #data = "";
  #closed = false;

  constructor({ url, system, clock = systemClock, random = systemRandom, ...told }: DriverOptions & DriverEvents) {
    const target = parseZookeeperUrl(url);
    assertServiceName(system, "system");
    this.#paths = new ZookeeperPaths(target.prefix, system);
    this.#nodes = new ZookeeperNodes(this.#paths);
    this.#watchers = new KeyWatchers((key) => this.#client.call((connection) => this.#read(connection, key)), clock);
    this.#client = new ZookeeperClient({
      target,
      clock,
      random,
      sessionTimeoutMs: SESSION_MS,
      onConnection: (connection) => this.#follow(connection),
      onWatch: (event) => this.#take(event),
      onBeat: () => {},
      onChange: (lost) => (lost === null ? told.onRecovered?.() : told.onError?.(away(lost))),
      closed: storeClosed,
    });
  }

  async opened(timeoutMs: number): Promise<void> {
    await this.#client.call(async () => {}, timeoutMs);
  }

  async get(key: string): Promise<KeyValueItem | null> {
    this.#assertOpen();
    assertKey(key);
    const found = await this.#client.call((connection) => this.#nodes.get(connection, this.#paths.value(key)));
    return found === null ? null : this.#itemOf(key, found);
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    this.#assertOpen();
    assertKey(prefix);
    for (let tries = 0; tries < MAX_LISTINGS; tries++) {
      const items = await this.#client.call((connection) => this.#listOnce(connection, prefix));
      if (items !== null) return items;
    }
    const text = `what is below ${prefix} changed each of the ${MAX_LISTINGS} times that it was listed`;
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
    const zxid = await this.#client.call(async (connection) => {
      if (expected === ABSENT) return this.#nodes.create(connection, path, data);
      if (expected !== ANY)
        return this.#nodes.set(connection, path, data, (node) => this.#versionOf(node.stat.mzxid) === expected);
      for (;;) {
        const { zxid } = await connection.change({ op: "set", path, data, version: -1 });
        const done = zxid ?? (await this.#nodes.create(connection, path, data));
        if (done !== null) return done;
      }
    });
    return zxid === null ? null : this.#versionOf(zxid);
  }

  async delete(key: string, expected: string): Promise<boolean> {
    this.#assertOpen();
    assertKey(key);
    const wanted = (node: NodeData): boolean => expected === ANY || this.#versionOf(node.stat.mzxid) === expected;
    const done = await this.#client.call((connection) =>
      this.#nodes.delete(connection, this.#paths.value(key), wanted, ""),
    );
    return done === "deleted" || (done === "absent" && (expected === ANY || expected === ABSENT));
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
    await this.#nodes.makeFolders(connection);
    await connection.addWatch(this.#paths.store);
    await connection.barrier(this.#paths.barrier);
    const folder = await connection.exists(this.#paths.store);
    if (folder === null) throw connection.foldersGone();
    this.#data = `${folder.ctime.toString(36)}.${folder.czxid.toString(36)}`;
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
    return found === null ? null : this.#itemOf(key, found);
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
      const paths = page.map((name) => `${store}/${name}`);
      const read = await connection.readMany(at === 0 ? store : null, paths);
      // Each page is of one moment; all of them are of the same when nothing was heard between.
      if (at === 0 && !same(below(prefix, read.names), names)) return null;
      if (at > 0 && this.#heard !== heard) return null;
      for (const [index, node] of read.nodes.entries()) {
        if (node === null) return null;
        items.push(this.#itemOf(keyOfName(page[index]), node));
      }
    }
    return items;
  }

  #itemOf(key: string, { data, stat }: NodeData): KeyValueItem {
    return { key, value: data, version: this.#versionOf(stat.mzxid) };
  }

  #versionOf(zxid: bigint): string {
    return `${this.#data}.${zxid.toString(36)}`;
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

function away(cause: WeftError): WeftError {
  const text = `no ZooKeeper answers: ${cause.message}`;
  return new WeftError(cause.code, text, { reason: "STORE_AWAY", cause });
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

/** Nothing lives as long as a session of the store. */
const SESSION_MS = 10_000;
/** Values that are read at once: of the largest size, 25 MB. */
const PAGE = 100;
const MAX_LISTINGS = 50;
