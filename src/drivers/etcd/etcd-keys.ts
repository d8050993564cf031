/**
 * Keys of one system, all below PREFIX/SYSTEM/:
 *
 *     endpoints/ID   an entry (endpoint-value.ts), under no lease. An id is unique in the system, so a take-over, and a move to another service, is a write to one key
 *     epoch          names these data, and is compared in every write: so none is made into other data than those it was meant for, and their loss is noticed
 *     planes/PLANE   a control plane's sign of life, under a lease (etcd-sign.ts)
 *     store/         the shared store (etcd-key-value.ts), which is nothing of the registry's
 */
export class EtcdKeys {
  /** All but the shared store. */
  readonly all: KeyRange;
  readonly endpoints: KeyRange;
  readonly epoch: Uint8Array;
  readonly #endpoints: string;
  readonly #planes: string;

  constructor(prefix: string, system: string) {
    const root = `${prefix}/${system}/`;
    this.#endpoints = `${root}endpoints/`;
    this.#planes = `${root}planes/`;
    this.endpoints = rangeOf(this.#endpoints);
    this.all = { key: this.endpoints.key, rangeEnd: rangeOf(this.#planes).rangeEnd };
    this.epoch = Buffer.from(`${root}epoch`);
  }

  endpoint(id: string): Uint8Array {
    return Buffer.from(this.#endpoints + id);
  }

  plane(plane: string): Uint8Array {
    return Buffer.from(this.#planes + plane);
  }

  /** What a key is of; null: of nothing that is known. */
  read(key: Uint8Array): EtcdKey | null {
    const text = Buffer.from(key).toString("utf8");
    if (text.startsWith(this.#endpoints)) return { kind: "endpoint", name: text.slice(this.#endpoints.length) };
    if (text.startsWith(this.#planes)) return { kind: "plane", name: text.slice(this.#planes.length) };
    return Buffer.compare(key, this.epoch) === 0 ? { kind: "epoch", name: "" } : null;
  }
}

export interface EtcdKey {
  readonly kind: "endpoint" | "plane" | "epoch";
  readonly name: string;
}

export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

/** All keys that begin with it. */
function rangeOf(prefix: string): KeyRange {
  const key = Buffer.from(prefix);
  const rangeEnd = Buffer.from(key);
  rangeEnd[rangeEnd.length - 1]++; // a slash
  return { key, rangeEnd };
}
