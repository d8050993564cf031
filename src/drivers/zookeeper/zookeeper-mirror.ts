import type { WeftError } from "../../core/errors.ts";
import type { BackendChange, KeptEntry } from "../../registry/endpoint-backend.ts";
import { decodeEndpointEntry, type EndpointEntry } from "../../registry/endpoint-value.ts";
import { UnusableEntries } from "../../registry/unusable-entries.ts";
import type { ZookeeperConnection } from "./zookeeper-connection.ts";
import type { NodeData, WatchEvent } from "./zookeeper-messages.ts";
import type { ZookeeperNodes } from "./zookeeper-nodes.ts";
import { idOfName, nameIn, type ZookeeperPaths } from "./zookeeper-paths.ts";
import { ZookeeperVersions } from "./zookeeper-versions.ts";

/** What is told of. Never from inside what the mirror is called for. */
export interface MirrorEvents {
  changed(changes: readonly BackendChange[]): void;
  unusable(error: WeftError): void;
}

/**
 * What ZooKeeper holds of endpoints and planes, in this process's memory. A watch says which node changed and not how, so it is read; answers come after what was told before
 * them, so when nothing is left to be read all is as it was in ZooKeeper at the moment of the last answer.
 *
 *     event --name of a node--> dirty --read, many at once--> known, told
 */
export class ZookeeperMirror {
  readonly versions = new ZookeeperVersions();
  readonly #paths: ZookeeperPaths;
  readonly #nodes: Pick<ZookeeperNodes, "noteOf">;
  readonly #events: MirrorEvents;
  #known = new Map<string, Known>();
  /** Planes whose sign of life is there. */
  #planes = new Set<string>();
  /** Since a listing of them was asked for. */
  readonly #heardOfPlanes = new Map<string, "created" | "deleted">();
  /** Names of endpoints' nodes that may be other ones than are known. */
  readonly #dirty = new Set<string>();
  /** Name of a node that holds no endpoint, and its version: said once. */
  readonly #unusable: UnusableEntries;
  /** What was known before is of other data, and nobody was told yet. */
  #lost = false;
  #connection: ZookeeperConnection | null = null;
  #draining: Promise<void> | null = null;

  /** Of a deletion `nodes` notes the owner. */
  constructor(paths: ZookeeperPaths, nodes: Pick<ZookeeperNodes, "noteOf">, events: MirrorEvents) {
    this.#paths = paths;
    this.#nodes = nodes;
    this.#events = events;
    this.#unusable = new UnusableEntries((error) => queueMicrotask(() => events.unusable(error)));
  }

  /** Everything, by a new connection, which is followed from now on. `lost`: these are other data than before; `removed`: what is known to have been taken away since. */
  async list(
    connection: ZookeeperConnection,
  ): Promise<{ all: readonly KeptEntry[]; lost: boolean; removed: readonly BackendChange[] }> {
    const { endpoints, planes, barrier } = this.#paths;
    this.#connection = null;
    this.#dirty.clear();
    this.#heardOfPlanes.clear();
    // Asked at once, and answered in this order.
    const [, , , folder, alive, names] = await Promise.all([
      connection.addWatch(endpoints),
      connection.addWatch(planes),
      connection.barrier(barrier),
      connection.exists(endpoints),
      connection.children(planes),
      connection.children(endpoints),
    ]);
    if (folder === null || alive === null || names === null) throw connection.foldersGone();
    this.#lost = this.versions.reading(folder) || this.#lost;
    this.#planes = new Set(alive);
    // What was heard since it was asked is in the answer, or newer.
    for (const [plane, kind] of this.#heardOfPlanes) this.#planes[kind === "created" ? "add" : "delete"](plane);
    const known = new Map<string, Known>();
    for (let at = 0; at < names.length; at += PAGE) {
      const page = names.slice(at, at + PAGE);
      const read = await Promise.all(page.map((name) => connection.get(`${endpoints}/${name}`)));
      for (const [index, name] of page.entries()) {
        const node = read[index];
        const one = node === null ? null : this.#decode(name, node);
        if (one !== null) known.set(name, one);
      }
    }
    const removed = this.#lost ? [] : await this.#removedSince(connection, known);
    this.#heardOfPlanes.clear();
    this.#known = known;
    this.#connection = connection;
    this.#drainSoon();
    const lost = this.#lost;
    this.#lost = false;
    return { all: this.all(), lost, removed };
  }

  /** Of what was known and is not there any more: the registrations that were taken away. What else is missing may be put there again. */
  async #removedSince(connection: ZookeeperConnection, now: ReadonlyMap<string, Known>): Promise<BackendChange[]> {
    const removed: BackendChange[] = [];
    const missing = [...this.#known].filter(([name]) => !now.has(name));
    for (let at = 0; at < missing.length; at += PAGE) {
      const page = missing.slice(at, at + PAGE);
      const paths = page.map(([name]) => `${this.#paths.endpoints}/${name}`);
      const owners = await Promise.all(paths.map((path) => this.#nodes.noteOf(connection, path)));
      for (const [index, [, { entry }]] of page.entries())
        if (owners[index] === entry.owner) removed.push({ kind: "removed", id: entry.endpoint.id, orphaned: false });
    }
    return removed;
  }

  all(): readonly KeptEntry[] {
    return Array.from(this.#known.values(), (known) => this.#kept(known));
  }

  /** Whether a plane's sign of life is there. */
  lives(plane: string): boolean {
    return this.#planes.has(plane);
  }

  take({ kind, path }: WatchEvent): void {
    const name = nameIn(this.#paths.endpoints, path);
    if (name !== null) {
      this.#dirty.add(name);
      this.#drainSoon();
      return;
    }
    const plane = nameIn(this.#paths.planes, path);
    if (plane === null) return;
    if (kind !== "created" && kind !== "deleted") return;
    if (this.#connection === null) this.#heardOfPlanes.set(plane, kind);
    this.#planes[kind === "created" ? "add" : "delete"](plane);
    const changes: BackendChange[] = [];
    for (const known of this.#known.values())
      if (known.entry.plane === plane) changes.push({ kind: "put", ...this.#kept(known) });
    // What is dirty is told when it is read, with what is known of planes then.
    if (changes.length > 0 && this.#connection !== null) this.#events.changed(changes);
  }

  /** Resolves when nothing is left to be read; rejects when the connection ends before. */
  async settled(connection: ZookeeperConnection): Promise<void> {
    while (this.#dirty.size > 0 || this.#draining !== null) {
      if (this.#connection !== connection) break;
      this.#drainSoon();
      await this.#draining;
    }
    if (connection.failure !== null) throw connection.failure;
  }

  /** As the mirror would tell it. */
  decode(id: string, node: NodeData): KeptEntry | null {
    const known = this.#decode(encodeURIComponent(id), node);
    return known === null ? null : this.#kept(known);
  }

  #kept({ entry, version }: Known): KeptEntry {
    return { entry, version, orphaned: entry.plane !== "" && !this.#planes.has(entry.plane) };
  }

  #drainSoon(): void {
    const connection = this.#connection;
    if (this.#draining !== null || connection === null || this.#dirty.size === 0) return;
    // Changes of one turn are read together.
    this.#draining = Promise.resolve().then(() => this.#drain(connection));
    const done = (): void => {
      this.#draining = null;
      this.#drainSoon(); // what a new connection brought meanwhile
    };
    this.#draining.then(done, done);
  }

  async #drain(connection: ZookeeperConnection): Promise<void> {
    while (this.#dirty.size > 0 && this.#connection === connection) {
      const names = Array.from(this.#dirty).slice(0, PAGE);
      for (const name of names) this.#dirty.delete(name);
      const read = await Promise.all(names.map((name) => this.#look(connection, name)));
      if (this.#connection !== connection) return;
      const changes: BackendChange[] = [];
      for (const [index, name] of names.entries()) {
        const { node, zxid, owner } = read[index];
        const now = node === null ? null : this.#decode(name, node);
        const before = this.#known.get(name);
        if (now !== null) {
          if (before?.version === now.version) continue;
          this.#known.set(name, now);
          changes.push({ kind: "put", ...this.#kept(now) });
        } else if (before !== undefined) {
          this.#known.delete(name);
          const { id } = before.entry.endpoint;
          changes.push({ kind: "removed", id, orphaned: false, version: this.versions.of(zxid), ...owner });
        }
      }
      changes.sort((a, b) => (a.version ?? 0) - (b.version ?? 0));
      if (changes.length > 0) this.#events.changed(changes);
    }
  }

  /** `owner`: of what was deleted there, which may have been made and deleted unseen. */
  async #look(
    connection: ZookeeperConnection,
    name: string,
  ): Promise<{ node: NodeData | null; zxid: bigint; owner: { owner?: string } }> {
    const path = `${this.#paths.endpoints}/${name}`;
    const { node, zxid } = await connection.look(path);
    if (node !== null) return { node, zxid, owner: {} };
    const owner = await this.#nodes.noteOf(connection, path);
    return { node, zxid, owner: owner === null ? {} : { owner } };
  }

  /** Null for what is no endpoint of that name, which is told once. */
  #decode(name: string, { data, stat }: NodeData): Known | null {
    try {
      const entry = decodeEndpointEntry(data);
      if (entry.endpoint.id !== idOfName(name)) throw new Error(`it is of ${JSON.stringify(entry.endpoint.id)}`);
      this.#unusable.forget(name);
      return { entry, version: this.versions.of(stat.mzxid) };
    } catch (cause) {
      this.#unusable.found("ZooKeeper", name, stat.mzxid, (cause as Error).message, cause);
      return null;
    }
  }
}

interface Known {
  readonly entry: EndpointEntry;
  readonly version: number;
}

/** Read at once. */
const PAGE = 1_000;
