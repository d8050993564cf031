import { randomBytes } from "node:crypto";
import type { EndpointEntry } from "../../registry/endpoint-backend.ts";
import { decodeEndpointEntry, encodeEndpointEntry } from "../../registry/endpoint-value.ts";
import { type KvItem, type KvOperation, type KvSpace, numberOf, objectOf } from "./kv-space.ts";

/** What is kept under an endpoint's key. */
export type Stored =
  | { readonly kind: "entry"; readonly entry: EndpointEntry; readonly version: number }
  /** It was removed on purpose a while ago; `owner` and `plane` are of the registration that it was. */
  | { readonly kind: "mark"; readonly version: number; readonly owner: string; readonly plane: string }
  | { readonly kind: "unusable"; readonly version: number; readonly why: string };

export interface StoredListing {
  readonly byId: ReadonlyMap<string, Stored>;
  readonly index: number;
  /** Names the data: another one when they were lost. */
  readonly epoch: string;
}

/**
 * Endpoints' entries in Consul's store, where every change is a compare-and-set:
 *
 *     epoch          {"id":"5e0c...","floor":0}: names these data, so that their loss is noticed
 *     epoch.5e0c...  compared in every write, as the epoch is, so that none is made into other data than those it was meant for
 *     endpoints/ID   an entry; or {"removed":true,"owner":...,"plane":...}, for a while after it was removed on purpose: who was not in touch learns whose it was last, and does
 *                    not put back an earlier one
 *
 * Versions are Consul's indexes of the writes, above a floor: the epoch's, and all that was known here before. So they grow, too, when Consul has lost its data and counts anew.
 */
export class EntryStore {
  readonly #space: KvSpace;
  #epoch: Epoch | null = null;
  #highest = 0;
  /** What was read of each key last, so that only what has changed is read again. */
  #known = new Map<string, { readonly index: number; readonly stored: Stored }>();

  constructor(space: KvSpace) {
    this.#space = space;
  }

  /** Waits until something has changed since an index; 0: does not wait, and asks the leader. */
  index(after: number, waitMs: number): Promise<number> {
    return this.#space.index("", after, waitMs);
  }

  async list(timeoutMs?: number): Promise<StoredListing> {
    for (;;) {
      const { items, index } = await this.#space.list("", timeoutMs);
      const epoch = epochOf(items);
      if (epoch === null) {
        await this.#begin(items.find(({ key }) => key === EPOCH)?.index ?? 0);
        continue;
      }
      if (this.#epoch?.id !== epoch.id || this.#epoch.index !== epoch.index) {
        this.#known = new Map();
        // Whoever named them may have known less than is known here.
        this.#epoch = { ...epoch, floor: Math.max(epoch.floor, this.#highest) };
      }
      const known = new Map<string, { index: number; stored: Stored }>();
      const byId = new Map<string, Stored>();
      for (const item of items) {
        if (!item.key.startsWith(ENDPOINTS)) continue;
        const id = item.key.slice(ENDPOINTS.length);
        const before = this.#known.get(id);
        const stored = before?.index === item.index ? before.stored : this.#read(id, item);
        known.set(id, { index: item.index, stored });
        byId.set(id, stored);
      }
      this.#known = known;
      return { byId, index, epoch: epoch.id };
    }
  }

  async get(id: string): Promise<Stored | null> {
    for (;;) {
      const items = await this.#space.transact([
        { verb: "get-or-empty", key: EPOCH },
        { verb: "get-or-empty", key: ENDPOINTS + id },
      ]);
      if (items === null) continue;
      if (this.#isNamed(items[0])) {
        return items[1].index === 0 ? null : this.#read(id, items[1]);
      }
      await this.list();
    }
  }

  /** Null: the version of what is there is another one. `expected` 0: nothing is there but a mark. */
  async replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    const { id } = entry.endpoint;
    const value = encodeEndpointEntry(entry);
    if (expected !== 0) return this.#write(id, value, expected);
    const known = this.#known.get(id)?.stored;
    const mark = known?.kind === "mark" ? known.version : 0;
    const done = await this.#write(id, value, mark);
    if (done !== null) return done;
    const there = await this.get(id);
    if (there?.kind === "entry" || (there?.version ?? 0) === mark) return null;
    return this.#write(id, value, there?.version ?? 0);
  }

  async remove(id: string, owner: string): Promise<void> {
    let there: Stored | null = this.#known.get(id)?.stored ?? null;
    if (there?.kind !== "entry" || there.entry.owner !== owner) there = await this.get(id);
    while (there?.kind === "entry" && there.entry.owner === owner) {
      if ((await this.#write(id, markOf(there.entry), there.version)) !== null) return;
      there = await this.get(id);
    }
  }

  /** Takes marks away that everybody has seen; those that have changed meanwhile stay. */
  async sweep(marks: readonly { readonly id: string; readonly version: number }[]): Promise<void> {
    for (const { id, version } of marks) {
      const epoch = this.#epoch;
      if (epoch === null) return;
      const index = version - epoch.floor;
      await this.#space.transact([
        ...fenceOf(epoch),
        { verb: "check-index", key: ENDPOINTS + id, index },
        { verb: "delete", key: ENDPOINTS + id },
      ]);
    }
  }

  async #write(id: string, value: Uint8Array, expected: number): Promise<number | null> {
    if (this.#epoch === null) await this.list();
    const epoch = this.#epoch as Epoch | null;
    if (epoch === null) return null;
    const key = ENDPOINTS + id;
    const index = expected === 0 ? 0 : expected - epoch.floor;
    // A version of other data.
    if (index < 0 || (expected !== 0 && index === 0)) return null;
    const items = await this.#space.transact([...fenceOf(epoch), { verb: "cas", key, value, index }]);
    const written = items?.find((item) => item.key === key);
    if (written !== undefined) return this.#versionOf(written, epoch);
    // Either comparison may be what did not hold.
    await this.#look();
    return null;
  }

  #isNamed(item: KvItem): boolean {
    return this.#epoch !== null && nameOf(item).id === this.#epoch.id && item.index === this.#epoch.index;
  }

  /** Whether these are still the data that are known. */
  async #look(): Promise<void> {
    const items = await this.#space.transact([{ verb: "get-or-empty", key: EPOCH }]);
    if (items !== null && !this.#isNamed(items[0])) await this.list();
  }

  /** Names data that have no name, or one that cannot be used; `index`: of that. Somebody else may be first. */
  async #begin(index: number): Promise<void> {
    const id = randomBytes(8).toString("hex");
    const floor = this.#highest === 0 ? 0 : this.#highest + FLOOR_GAP;
    await this.#space.transact([
      { verb: "cas", key: EPOCH, value: Buffer.from(JSON.stringify({ id, floor })), index },
      { verb: "set", key: fenceKeyOf(id), value: Buffer.from("1") },
    ]);
  }

  #read(id: string, item: KvItem): Stored {
    const version = this.#versionOf(item, this.#epoch as Epoch);
    const { value } = item;
    try {
      const { removed, owner, plane } = objectOf(JSON.parse(Buffer.from(value).toString()));
      if (removed === true && typeof owner === "string" && typeof plane === "string")
        return { kind: "mark", version, owner, plane };
      const entry = decodeEndpointEntry(value);
      if (entry.endpoint.id !== id) throw new Error(`it is of ${JSON.stringify(entry.endpoint.id)}`);
      if (entry.owner === "") throw new Error("it has no owner");
      return { kind: "entry", entry, version };
    } catch (cause) {
      return { kind: "unusable", version, why: (cause as Error).message };
    }
  }

  #versionOf({ index }: KvItem, { floor }: Epoch): number {
    const version = floor + index;
    this.#highest = Math.max(this.#highest, version);
    return version;
  }
}

interface Epoch {
  readonly id: string;
  /** Of versions. */
  readonly floor: number;
  /** Of the two keys, which are compared. */
  readonly index: number;
  readonly fenceIndex: number;
}

/** Null: there is none that can be used. */
function epochOf(items: readonly KvItem[]): Epoch | null {
  const named = items.find(({ key }) => key === EPOCH);
  const { id, floor } = named === undefined ? NO_NAME : nameOf(named);
  const fence = items.find(({ key }) => key === fenceKeyOf(id));
  if (named === undefined || fence === undefined || id === "") return null;
  return { id, floor, index: named.index, fenceIndex: fence.index };
}

function nameOf({ value }: KvItem): { id: string; floor: number } {
  try {
    const { id, floor } = objectOf(JSON.parse(Buffer.from(value).toString()));
    return typeof id === "string" ? { id, floor: numberOf(floor) } : NO_NAME;
  } catch {
    return NO_NAME;
  }
}

function markOf({ owner, plane }: EndpointEntry): Uint8Array {
  return Buffer.from(JSON.stringify({ removed: true, owner, plane }));
}

function fenceOf({ id, index, fenceIndex }: Epoch): KvOperation[] {
  return [
    { verb: "check-index", key: EPOCH, index },
    { verb: "check-index", key: fenceKeyOf(id), index: fenceIndex },
  ];
}

function fenceKeyOf(id: string): string {
  return `${EPOCH}.${id}`;
}

const NO_NAME = { id: "", floor: 0 };
const EPOCH = "epoch";
const ENDPOINTS = "endpoints/";
/** Versions may have been told after the last that is known here. */
const FLOOR_GAP = 1_000_000;
