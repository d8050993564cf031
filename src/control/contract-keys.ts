import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { ABSENT, ANY, type KeyValue, type KeyValueWatch } from "../settings/key-value.ts";

/** Which contract counts for a service. */
export interface KeptContract {
  readonly service: string;
  readonly digest: string;
  readonly contracts: readonly string[];
  /** Whether an endpoint of the control plane that wrote it registered with it. */
  readonly inUse: boolean;
  /** Of two of a service the later has the higher one. */
  readonly order: number;
}

export interface ListedContract extends KeptContract {
  /** Of its key in the store. */
  readonly version: string;
  /** Whether this control plane wrote it. */
  readonly own: boolean;
}

/**
 * Contracts in the shared store:
 *
 *     contracts/services/NAME            a KeptContract
 *     contracts/descriptors/DIGEST/PART  descriptors, compressed, in parts; first of all, so that whoever reads a service's finds them
 *     contracts/changed                  another value after every change, for others to hear of it
 */
export class ContractKeys {
  readonly #store: KeyValue;
  /** Of this control plane's run. */
  readonly #writer = randomUUID();
  #watch: KeyValueWatch | null = null;

  constructor(store: KeyValue) {
    this.#store = store;
  }

  async list(): Promise<ListedContract[]> {
    const kept: ListedContract[] = [];
    for (const { key, value, version } of await this.#store.list(SERVICES)) {
      const read = decode(value);
      if (read === null) continue;
      const { writer, ...rest } = read;
      kept.push({ ...rest, service: key.slice(SERVICES.length + 1), version, own: writer === this.#writer });
    }
    return kept;
  }

  /** Null: there are none of that digest, or not all of them. */
  async descriptors(digest: string): Promise<Uint8Array | null> {
    const parts = await this.#store.list(`${DESCRIPTORS}/${digest}`);
    if (parts.length === 0) return null;
    try {
      const packed = Buffer.concat(parts.map(({ value }) => value));
      return Uint8Array.from(await unpack(packed, { maxOutputLength: MAX_BYTES }));
    } catch {
      return null;
    }
  }

  async put({ service, ...kept }: KeptContract, descriptors: Uint8Array): Promise<void> {
    const packed = await pack(descriptors);
    for (let at = 0, part = 0; at < packed.byteLength; at += PART_BYTES, part++) {
      const key = `${DESCRIPTORS}/${kept.digest}/${String(part).padStart(4, "0")}`;
      await this.#store.put(key, packed.subarray(at, at + PART_BYTES), ABSENT); // null: they are there
    }
    const value = JSON.stringify({ ...kept, writer: this.#writer });
    await this.#store.put(`${SERVICES}/${service}`, Buffer.from(value), ANY);
    this.#changed();
  }

  /** And descriptors that no service has any more. */
  async forget(service: string): Promise<void> {
    await this.#store.delete(`${SERVICES}/${service}`, ANY);
    const used = new Set((await this.list()).map(({ digest }) => digest));
    for (const key of await this.#store.keys(DESCRIPTORS))
      if (!used.has(key.split("/")[2])) await this.#store.delete(key, ANY);
    this.#changed();
  }

  watch(changed: () => void): void {
    this.#watch = this.#store.watch(CHANGED, changed);
  }

  close(): void {
    this.#watch?.close();
  }

  /** Nobody waits for others to hear. */
  #changed(): void {
    this.#store.put(CHANGED, Buffer.from(randomUUID()), ANY).catch(() => {});
  }
}

/** Null for what a version wrote that understood more; endpoints bring it again. */
function decode(value: Uint8Array): (Omit<KeptContract, "service"> & { writer: string }) | null {
  try {
    const { digest, contracts, inUse, order, writer } = JSON.parse(Buffer.from(value).toString()) as Omit<
      KeptContract & { writer: string },
      "service"
    >;
    const good =
      Number.isSafeInteger(order) &&
      /^[0-9a-f]{64}$/.test(digest) &&
      Array.isArray(contracts) &&
      contracts.every((one) => typeof one === "string");
    return good ? { digest, contracts, inUse: inUse === true, order, writer: String(writer) } : null;
  } catch {
    return null;
  }
}

const SERVICES = "contracts/services";
const DESCRIPTORS = "contracts/descriptors";
const CHANGED = "contracts/changed";
const PART_BYTES = 196_608;
const MAX_BYTES = 67_108_864;
const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);
