import type { ZookeeperConnection } from "./zookeeper-connection.ts";
import { type Change, REFUSED } from "./zookeeper-messages.ts";
import { refusalOf } from "./zookeeper-refusal.ts";

/**
 * Nodes of one system, all below PREFIX/SYSTEM:
 *
 *     endpoints/ID   an endpoint (endpoint-value.ts in registry/), which ends with the session of the control plane that holds it. Percent-encoded where an id has what a path has not
 *     removed/ID     made and deleted in the transaction that removes an endpoint on purpose: a removal without it is a session's end
 *     rounds/N       written in every transaction that makes an endpoint of this round, so that a change which began with the node before it is refused: versions begin at 0 again
 *     barrier        written before what must be read as new as anything that was acknowledged
 *     store/KEY      a value of the shared store, with ":" for "/"
 *     deletions      written in every transaction that deletes one: as rounds
 */
export class ZookeeperPaths {
  readonly root: string;
  readonly endpoints: string;
  readonly removed: string;
  readonly barrier: string;
  readonly store: string;
  readonly deletions: string;
  readonly #rounds: string;
  /** Of all ids, this part is refused by a change of one. */
  static readonly ROUNDS = 16;

  constructor(prefix: string, system: string) {
    this.root = `${prefix}/${system}`;
    this.endpoints = `${this.root}/endpoints`;
    this.removed = `${this.root}/removed`;
    this.barrier = `${this.root}/barrier`;
    this.store = `${this.root}/store`;
    this.deletions = `${this.root}/deletions`;
    this.#rounds = `${this.root}/rounds`;
  }

  endpoint(id: string): string {
    return `${this.endpoints}/${encodeURIComponent(id)}`;
  }

  mark(id: string): string {
    return `${this.removed}/${encodeURIComponent(id)}`;
  }

  round(id: string): string {
    let sum = 0;
    for (let i = 0; i < id.length; i++) sum = (sum * 31 + id.charCodeAt(i)) >>> 0;
    return `${this.#rounds}/${sum % ZookeeperPaths.ROUNDS}`;
  }

  value(key: string): string {
    return `${this.store}/${key.replaceAll("/", ":")}`;
  }

  /** What the registry needs to be there, parents first. */
  get ofRegistry(): readonly string[] {
    const rounds = Array.from({ length: ZookeeperPaths.ROUNDS }, (_, i) => `${this.#rounds}/${i}`);
    return [...parents(this.root), this.endpoints, this.removed, this.#rounds, ...rounds, this.barrier];
  }

  /** What the store needs to be there, parents first. */
  get ofStore(): readonly string[] {
    return [...parents(this.root), this.store, this.deletions, this.barrier];
  }
}

/** The id or key of a node of a folder; null: it is of another one, or the folder itself. */
export function nameIn(folder: string, path: string): string | null {
  if (!path.startsWith(folder) || path[folder.length] !== "/") return null;
  return path.slice(folder.length + 1);
}

/** Null for a node that nobody of weft made. */
export function idOfName(name: string): string | null {
  try {
    return decodeURIComponent(name);
  } catch {
    return null;
  }
}

export function keyOfName(name: string): string {
  return name.replaceAll(":", "/");
}

/** Makes what is not there yet. */
export async function makeFolders(connection: ZookeeperConnection, paths: readonly string[]): Promise<void> {
  // To make what is there already takes a right that its user may not have.
  const found = await Promise.all(paths.map((path) => connection.exists(path)));
  for (const [index, path] of paths.entries()) {
    if (found[index] !== null) continue;
    const outcome = await connection.change(folder(connection, path));
    if (outcome.zxid === null && outcome.code !== REFUSED.nodeExists)
      throw refusalOf(outcome.code, connection.address, `to make ${path}`);
  }
}

function folder({ access }: ZookeeperConnection, path: string): Change {
  return { op: "create", path, data: new Uint8Array(0), ephemeral: false, access };
}

/** "/a/b" -> "/a", "/a/b". */
function parents(path: string): string[] {
  const parts = path.split("/").slice(1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}
