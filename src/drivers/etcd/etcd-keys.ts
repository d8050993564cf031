/**
 * Keys of one system, all below PREFIX/SYSTEM/:
 *
 *     endpoints/ID   an endpoint (endpoint-value.ts), under the lease of its registration. An id is unique in the system, so a take-over, and a move to another
 *                    service, is a write to one key
 *     removed        what was removed on purpose, written in the transaction that does it: a removal without it is a lease's end
 *     epoch          names these data: with others of the same name they were lost. And what revisions are added to since then
 *     store/         the shared store (etcd-key-value.ts), which is nothing of the registry's
 */
export class EtcdKeys {
  readonly all: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array };
  readonly endpoints: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array };
  readonly removed: Uint8Array;
  readonly epoch: Uint8Array;
  readonly #endpoints: string;

  constructor(prefix: string, system: string) {
    const root = `${prefix}/${system}/`;
    this.#endpoints = `${root}endpoints/`;
    // Not the shared store, which is below store/ (etcd-key-value.ts).
    this.all = { key: Buffer.from(`${root}endpoints/`), rangeEnd: Buffer.from(`${root}removed\0`) };
    this.endpoints = rangeOf(this.#endpoints);
    this.removed = Buffer.from(`${root}removed`);
    this.epoch = Buffer.from(`${root}epoch`);
  }

  endpoint(id: string): Uint8Array {
    return Buffer.from(this.#endpoints + id);
  }

  /** The id of an endpoint's key; null: the key is another one. */
  idOf(key: Uint8Array): string | null {
    const text = Buffer.from(key).toString("utf8");
    return text.startsWith(this.#endpoints) ? text.slice(this.#endpoints.length) : null;
  }
}

/** All keys that begin with it. */
function rangeOf(prefix: string): { key: Uint8Array; rangeEnd: Uint8Array } {
  const key = Buffer.from(prefix);
  const rangeEnd = Buffer.from(key);
  rangeEnd[rangeEnd.length - 1]++; // a slash
  return { key, rangeEnd };
}

/** What was removed on purpose in one revision. */
export interface Removal {
  readonly ids: readonly string[];
  readonly reason: string;
}

export function encodeRemoval(removal: Removal): Uint8Array {
  return Buffer.from(JSON.stringify(removal));
}

/** Nothing for what cannot be read. */
export function decodeRemoval(value: Uint8Array): Removal {
  const given = fromJson(value) as Partial<Removal> | null;
  if (!Array.isArray(given?.ids)) return { ids: [], reason: "" };
  return { ids: given.ids, reason: typeof given.reason === "string" ? given.reason.slice(0, 256) : "removed" };
}

export interface Epoch {
  readonly id: string;
  readonly floor: number;
}

export function encodeEpoch(epoch: Epoch): Uint8Array {
  return Buffer.from(JSON.stringify(epoch));
}

/** What cannot be read is an epoch of its own, without a name. */
export function decodeEpoch(value: Uint8Array): Epoch {
  const given = fromJson(value) as Partial<Epoch> | null;
  const floor = Number.isSafeInteger(given?.floor) ? Math.max(0, Number(given?.floor)) : 0;
  return { id: typeof given?.id === "string" ? given.id : "unreadable", floor };
}

function fromJson(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value).toString("utf8"));
  } catch {
    return null;
  }
}
