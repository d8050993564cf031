import { parseHostPort } from "../../core/address.ts";
import type { Cancel, Clock } from "../../core/clock.ts";
import { ANY, type KeyValue, type KeyValueItem } from "../../settings/key-value.ts";

/** A control plane as it tells of itself. */
export interface PeerRecord {
  /** Unique to its run. */
  readonly id: string;
  /** Where others reach it, "host:port". */
  readonly address: string;
  /** What enforces policy among the data planes that are attached there. */
  readonly enforcing: readonly string[];
}

export interface PeerDirectoryOptions {
  readonly store: KeyValue;
  readonly clock: Clock;
  readonly id: string;
  /** What is told of this one; asked each time. */
  readonly self: () => Omit<PeerRecord, "id">;
  /** How often a record is renewed and the others' are read, ms. Default 2,000. */
  readonly everyMs?: number;
}

/**
 * The control planes of one store, by a record each, which it renews. Nobody reads a time that another one wrote: a record that has not changed for three and a half periods by the clock of who looks is of one
 * that is gone; after a minute whoever sees it takes it away. While the store is away those that were there last stay.
 */
export class PeerDirectory {
  readonly #options: PeerDirectoryOptions;
  readonly #everyMs: number;
  readonly #seen = new Map<string, Seen>();
  #beats = 0;
  #cancel: Cancel = () => {};
  #working: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: PeerDirectoryOptions) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? 2_000;
  }

  /** Resolves when the record is there and the others' have been read. Rejects when the store is away. */
  async open(): Promise<void> {
    await this.#beat();
    this.#wait();
  }

  /** The others, in the order of their ids. */
  get others(): readonly PeerRecord[] {
    return Array.from(this.#seen.values(), ({ record }) => record).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Takes the record away, so that others know at once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancel();
    await this.#working;
    await this.#options.store.delete(keyOf(this.#options.id), ANY).catch(() => false);
  }

  #wait(): void {
    this.#cancel();
    if (this.#closed) return;
    this.#cancel = this.#options.clock.after(this.#everyMs, () => {
      this.#working = this.#beat()
        .catch(() => {})
        .then(() => this.#wait());
    });
  }

  async #beat(): Promise<void> {
    const { store, id, self } = this.#options;
    const text = JSON.stringify({ ...self(), beat: ++this.#beats });
    await store.put(keyOf(id), Buffer.from(text), ANY);
    const items = await store.list(PLACE);
    if (!this.#closed) this.#saw(items);
  }

  #saw(items: readonly KeyValueItem[]): void {
    const { store, clock, id: own } = this.#options;
    const now = clock.now();
    const there = new Set<string>();
    for (const item of items.slice(0, MAX_PEERS)) {
      const id = item.key.slice(PLACE.length + 1);
      const record = recordOf(id, item);
      if (id === own || record === null) continue;
      there.add(id);
      const before = this.#seen.get(id) ?? this.#gone.get(id);
      if (before === undefined || before.version !== item.version) {
        this.#gone.delete(id);
        this.#seen.set(id, { record, version: item.version, sinceMs: now });
      } else if (now - before.sinceMs > GONE_AFTER * this.#everyMs) {
        this.#seen.delete(id);
        this.#gone.set(id, before);
        if (now - before.sinceMs > FORGOTTEN_MS) void store.delete(item.key, item.version).catch(() => false);
      }
    }
    for (const known of [this.#seen, this.#gone]) for (const id of known.keys()) if (!there.has(id)) known.delete(id);
  }

  /** Those whose record stands still, which has not been taken away. */
  readonly #gone = new Map<string, Seen>();
}

interface Seen {
  readonly record: PeerRecord;
  readonly version: string;
  /** Since when it stands unchanged. */
  readonly sinceMs: number;
}

/** Null for what cannot be used. */
function recordOf(id: string, { value }: KeyValueItem): PeerRecord | null {
  try {
    const { address, enforcing } = JSON.parse(Buffer.from(value).toString()) as Partial<PeerRecord>;
    if (typeof address !== "string" || parseHostPort(address) === null) return null;
    const names = Array.isArray(enforcing) ? enforcing.filter((each) => typeof each === "string").slice(0, 16) : [];
    return { id, address, enforcing: names };
  } catch {
    return null;
  }
}

function keyOf(id: string): string {
  return `${PLACE}/${id}`;
}

const PLACE = "planes";
const GONE_AFTER = 3.5;
const FORGOTTEN_MS = 60_000;
/** Far more than anybody runs; nobody fills our memory by writing there. */
const MAX_PEERS = 64;
