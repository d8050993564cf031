import {
  Compare_CompareTarget,
  type CompareSchema,
  type RequestOpSchema,
} from "../../contract/gen/etcdserverpb/rpc.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { systemClock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import { systemRandom } from "../../core/random.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem, type KeyValueWatch } from "../../settings/key-value.ts";
import { assertKey, assertValue, storeClosed } from "../../settings/key-value-check.ts";
import { KeyWatchers } from "../../settings/key-watchers.ts";
import type { DriverEvents, DriverOptions } from "../driver-options.ts";
import { EtcdClient, isBusy } from "./etcd-client.ts";
import { readRange } from "./etcd-range.ts";
import type { EtcdSession } from "./etcd-session.ts";
import { parseEtcdUrl } from "./etcd-url.ts";

/**
 * Keys below PREFIX/SYSTEM/store/, of which the registry beside them is not told. Versions are etcd's revisions of keys. Rejects as openEtcdRegistry().
 */
export async function openEtcdKeyValue(options: DriverOptions & DriverEvents): Promise<KeyValue> {
  return openOrClose(new EtcdKeyValue(options), (store) => store.opened(options.openTimeoutMs ?? 10_000));
}

class EtcdKeyValue implements KeyValue {
  readonly #root: string;
  readonly #client: EtcdClient;
  readonly #watchers: KeyWatchers;
  #closed = false;

  constructor({ url, system, clock = systemClock, random = systemRandom, ...told }: DriverOptions & DriverEvents) {
    const target = parseEtcdUrl(url);
    assertServiceName(system, "system");
    this.#root = `${target.prefix}/${system}/store/`;
    this.#watchers = new KeyWatchers((key) => this.get(key), clock);
    this.#client = new EtcdClient({
      target,
      clock,
      random,
      onSession: (session) => this.#follow(session),
      onChange: (lost) => {
        if (lost === null) told.onRecovered?.();
        else
          told.onError?.(
            new WeftError("unavailable", `no etcd answers: ${lost.message}`, { reason: "STORE_AWAY", cause: lost }),
          );
      },
    });
  }

  async opened(timeoutMs: number): Promise<void> {
    await this.#client.call(async () => {}, timeoutMs);
  }

  async get(key: string): Promise<KeyValueItem | null> {
    this.#assertOpen();
    assertKey(key);
    const { kvs } = await this.#ask((session) => session.kv.range({ key: this.#keyOf(key) }));
    return kvs.length === 0 ? null : { key, value: kvs[0].value, version: String(kvs[0].modRevision) };
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    return this.#below(prefix, false);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    return (await this.#below(prefix, true)).map(({ key }) => key);
  }

  async put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    this.#assertOpen();
    assertKey(key);
    assertValue(key, value);
    const put = { key: this.#keyOf(key), value: Uint8Array.from(value) };
    return this.#change(key, { request: { case: "requestPut", value: put } }, expected);
  }

  async delete(key: string, expected: string): Promise<boolean> {
    this.#assertOpen();
    assertKey(key);
    const removal = { key: this.#keyOf(key) };
    return (await this.#change(key, { request: { case: "requestDeleteRange", value: removal } }, expected)) !== null;
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    this.#assertOpen();
    assertKey(key);
    return this.#watchers.watch(key, listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watchers.close();
    this.#client.close();
  }

  /** In one order, however many pages: all of them of the revision of the first. */
  async #below(prefix: string, keysOnly: boolean): Promise<KeyValueItem[]> {
    this.#assertOpen();
    assertKey(prefix);
    const rangeEnd = this.#keyOf(`${prefix}0`); // what follows a slash
    const pageSize = keysOnly ? KEYS_A_PAGE : ITEMS_A_PAGE;
    return this.#ask(async (session) => {
      const { kvs } = await readRange(session, { key: this.#keyOf(`${prefix}/`), rangeEnd, keysOnly, pageSize });
      return kvs.map(({ key, value, modRevision }) => ({
        key: Buffer.from(key).toString().slice(this.#root.length),
        value,
        version: String(modRevision),
      }));
    });
  }

  /** The revision that made it; null: the expectation does not hold. What may have been made by a try whose answer was lost is not tried again, and said to be unknown. */
  async #change(
    key: string,
    change: MessageInitShape<typeof RequestOpSchema>,
    expected: string,
  ): Promise<string | null> {
    const compare = expected === ANY ? [] : [isAt(this.#keyOf(key), expected)];
    if (compare.includes(null)) {
      await this.get(key);
      return null; // no version of etcd's
    }
    let unknown: WeftError | null = null;
    const { succeeded, header } = await this.#ask(async (session) => {
      if (unknown !== null && expected === ANY) return { succeeded: false, header: undefined };
      try {
        return await session.kv.txn({ compare: compare as Compare[], success: [change] });
      } catch (thrown) {
        const error = toWeftError(thrown);
        // Refused before it was looked at.
        if (!isBusy(error)) unknown = error;
        throw thrown;
      }
    });
    if (succeeded) return String(header?.revision ?? 0n);
    if (unknown === null) return null;
    const text = `whether ${key} was changed is not known: etcd's answer was lost`;
    throw new WeftError("unavailable", text, { reason: "STORE_AWAY", cause: unknown });
  }

  async #ask<T>(what: (session: EtcdSession) => Promise<T>): Promise<T> {
    try {
      return await this.#client.write(what);
    } catch (thrown) {
      throw this.#closed ? storeClosed() : thrown;
    }
  }

  /** All changes from now on; whatever was missed is read. */
  async #follow(session: EtcdSession): Promise<void> {
    const key = Buffer.from(this.#root);
    const rangeEnd = Buffer.from(`${this.#root.slice(0, -1)}0`);
    const { header } = await session.kv.range({ key, rangeEnd, countOnly: true });
    await session.watch(
      { key, rangeEnd, from: Number(header?.revision ?? 0n) + 1 },
      ({ events, canceled, cancelReason }) => {
        if (canceled) {
          const text = `etcd ended the watch of the store: ${cancelReason || "it does not say why"}`;
          session.fail(new WeftError("unavailable", text, { reason: "WATCH_ENDED" }));
          return;
        }
        for (const { kv } of events)
          if (kv !== undefined) this.#watchers.changed(Buffer.from(kv.key).toString().slice(this.#root.length));
      },
    );
    this.#watchers.changedAll();
  }

  #keyOf(key: string): Uint8Array {
    return Buffer.from(this.#root + key);
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

type Compare = MessageInitShape<typeof CompareSchema>;

/** The key was last changed then; null for what is no revision of etcd's. */
function isAt(key: Uint8Array, expected: string): Compare | null {
  if (expected !== ABSENT && !/^[1-9]\d{0,18}$/.test(expected)) return null;
  const modRevision = expected === ABSENT ? 0n : BigInt(expected);
  return { target: Compare_CompareTarget.MOD, key, targetUnion: { case: "modRevision", value: modRevision } };
}

/** Values may have 256 KiB each. */
const ITEMS_A_PAGE = 64;
const KEYS_A_PAGE = 5_000;
