import { type Event, Event_EventType, type KeyValue } from "../../contract/gen/mvccpb/kv.ts";
import type { WeftError } from "../../core/errors.ts";
import type { BackendChange, KeptEntry } from "../../registry/endpoint-backend.ts";
import { decodeEndpointEntry, type EndpointEntry } from "../../registry/endpoint-value.ts";
import { UnusableEntries } from "../../registry/unusable-entries.ts";
import type { EtcdEpoch } from "./etcd-epoch.ts";
import type { EtcdKeys } from "./etcd-keys.ts";

export interface EtcdEntriesOptions {
  keys: EtcdKeys;
  /** Ours: what it holds is never orphaned here. */
  plane: string;
  /** Begins what is said of a value that is no entry: "etcd at 127.0.0.1:2379". */
  name: string;
  /** Told of each such value, once. */
  onUnusable: (error: WeftError) => void;
}

/** What tells data from others, and makes versions of their revisions. */
type Names = Pick<EtcdEpoch, "isNamed" | "versionOf">;

/** What etcd holds of one system's endpoints and planes as of one revision, in this process's memory: a listing, and all events since, make it. */
export class EtcdEntries {
  readonly #options: EtcdEntriesOptions;
  #revision = 0;
  /** What is no entry is null. */
  #byId = new Map<string, KeptEntry | null>();
  /** Those whose sign of life is there. */
  #planes = new Set<string>();
  readonly #unusable: UnusableEntries;

  constructor(options: EtcdEntriesOptions) {
    this.#options = options;
    this.#unusable = new UnusableEntries((error) => queueMicrotask(() => options.onUnusable(error)));
  }

  get revision(): number {
    return this.#revision;
  }

  /** Whether our own sign of life is there. */
  get hasOurSign(): boolean {
    return this.#planes.has(this.#options.plane);
  }

  get(id: string): KeptEntry | null {
    return this.#byId.get(id) ?? null;
  }

  all(): KeptEntry[] {
    const all: KeptEntry[] = [];
    for (const kept of this.#byId.values()) if (kept !== null) all.push(this.#orphaned(kept));
    return all;
  }

  /** Everything there is, after a gap. False: these are other data. */
  list(kvs: readonly KeyValue[], revision: bigint, epoch: Names): boolean {
    const { keys } = this.#options;
    this.#byId = new Map();
    this.#planes = new Set();
    this.#revision = Number(revision);
    let same = false;
    for (const kv of kvs) {
      const { kind, name } = keys.read(kv.key) ?? OTHER;
      if (kind === "endpoint") this.#byId.set(name, this.read(name, kv, epoch));
      else if (kind === "plane") this.#planes.add(name);
      else if (kind === "epoch") same = epoch.isNamed(kv.value);
    }
    return same;
  }

  /** What events change, in their order. Null: these are other data now, and what went with the others was not removed. */
  apply(events: readonly Event[], epoch: Names): BackendChange[] | null {
    const { keys } = this.#options;
    const changes: BackendChange[] = [];
    const happened: { kind: string; name: string; put: boolean; kv: KeyValue }[] = [];
    for (const { type, kv } of events) {
      if (kv === undefined) continue;
      const put = type === Event_EventType.PUT;
      const { kind, name } = keys.read(kv.key) ?? OTHER;
      if (kind === "epoch" && !(put && epoch.isNamed(kv.value))) return null;
      happened.push({ kind, name, put, kv });
    }
    for (const { kind, name, put, kv } of happened) {
      if (kind === "endpoint") this.#changed(name, kv, put, epoch, changes);
      else if (kind === "plane") this.#lives(name, put, changes);
      this.#revision = Math.max(this.#revision, Number(kv.modRevision));
    }
    return changes;
  }

  /** Null for what is no entry of that id, which is told once. */
  read(id: string, kv: KeyValue, epoch: Names): KeptEntry | null {
    try {
      return this.#orphaned({ entry: decoded(id, kv), version: epoch.versionOf(kv.modRevision) });
    } catch (cause) {
      this.#unusable.found(this.#options.name, id, kv.modRevision, (cause as Error).message, cause);
      return null;
    }
  }

  #changed(id: string, kv: KeyValue, put: boolean, epoch: Names, changes: BackendChange[]): void {
    const before = this.get(id);
    const after = put ? this.read(id, kv, epoch) : null;
    if (put) this.#byId.set(id, after);
    else this.#byId.delete(id);
    if (after !== null) changes.push({ kind: "put", ...after });
    else if (before !== null) {
      const version = epoch.versionOf(kv.modRevision);
      // What somebody spoiled was not taken away.
      changes.push({ kind: "removed", id, orphaned: put, version, owner: before.entry.owner });
    }
  }

  /** A plane's sign of life came, or went. */
  #lives(plane: string, there: boolean, changes: BackendChange[]): void {
    if (this.#planes.has(plane) === there) return;
    this.#planes[there ? "add" : "delete"](plane);
    for (const kept of this.#byId.values())
      if (kept?.entry.plane === plane) changes.push({ kind: "put", ...this.#orphaned(kept) });
  }

  #orphaned({ entry, version }: KeptEntry): KeptEntry {
    const { plane } = entry;
    return { entry, version, orphaned: plane !== this.#options.plane && !this.#planes.has(plane) };
  }
}

/** Whose registration a value is; null: it is none of that id. */
export function ownerIn(id: string, kv: KeyValue): string | null {
  try {
    return decoded(id, kv).owner;
  } catch {
    return null;
  }
}

/** Throws for what is no entry of that id. */
function decoded(id: string, { value }: KeyValue): EndpointEntry {
  const entry = decodeEndpointEntry(value);
  if (entry.endpoint.id !== id) throw new Error(`it is of ${JSON.stringify(entry.endpoint.id)}`);
  return entry;
}

const OTHER = { kind: "other", name: "" };
