/**
 * Nodes of one system, all below PREFIX/SYSTEM:
 *
 *     endpoints/ID   an endpoint (endpoint-value.ts in registry/); percent-encoded where an id has what a path has not
 *     planes/PLANE   ends with the session of a control plane: its endpoints are orphaned then
 *     store/KEY      a value of the shared store, with ":" for "/"
 *     deletions/N    written in every transaction that deletes a node of this part of all: zookeeper-nodes.ts
 *     barrier        written before what must be read as new as anything that was acknowledged
 */
export class ZookeeperPaths {
  readonly root: string;
  readonly endpoints: string;
  readonly planes: string;
  readonly store: string;
  readonly barrier: string;
  readonly #deletions: string;

  constructor(prefix: string, system: string) {
    this.root = `${prefix}/${system}`;
    this.endpoints = `${this.root}/endpoints`;
    this.planes = `${this.root}/planes`;
    this.store = `${this.root}/store`;
    this.barrier = `${this.root}/barrier`;
    this.#deletions = `${this.root}/deletions`;
  }

  endpoint(id: string): string {
    return `${this.endpoints}/${encodeURIComponent(id)}`;
  }

  plane(plane: string): string {
    return `${this.planes}/${plane}`;
  }

  value(key: string): string {
    return `${this.store}/${key.replaceAll("/", ":")}`;
  }

  deletionsOf(path: string): string {
    let sum = 0;
    for (let i = 0; i < path.length; i++) sum = (sum * 31 + path.charCodeAt(i)) >>> 0;
    return `${this.#deletions}/${sum % DELETIONS}`;
  }

  /** What has to be there, parents first. */
  get folders(): readonly string[] {
    const deletions = Array.from({ length: DELETIONS }, (_, i) => `${this.#deletions}/${i}`);
    const { endpoints, planes, store, barrier } = this;
    return [...parents(this.root), endpoints, planes, store, barrier, this.#deletions, ...deletions];
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

/** The key of a node's name, where ":" stands for "/". */
export function keyOfName(name: string): string {
  return name.replaceAll(":", "/");
}

/** "/a/b" -> "/a", "/a/b". */
function parents(path: string): string[] {
  const parts = path.split("/").slice(1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}

/** A deletion makes changes of this part of all nodes look again. */
const DELETIONS = 256;
