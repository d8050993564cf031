import { WeftError } from "../../core/errors.ts";
import type { ZookeeperConnection } from "./zookeeper-connection.ts";
import { type NodeData, REFUSED } from "./zookeeper-messages.ts";
import type { ZookeeperPaths } from "./zookeeper-paths.ts";
import { refusalOf } from "./zookeeper-refusal.ts";

/**
 * Nodes that are changed by who has seen what they hold. ZooKeeper compares with a count that begins at 0 again when a node is deleted and made, so a change that was thought of for one node could
 * meet another one of its name. So every deletion writes, in the same transaction, to a node that counts deletions; who changes a node has seen that count first, and its change holds for
 * that count alone.
 *
 *     see:    count of deletions, then the node
 *     change: [count is the same, node is the same -> change]     or see again
 *
 * The count's node holds what was deleted last, for whoever has to know.
 *
 * A node that is not the wanted one is looked at again behind a barrier before that is said: this server may have been behind.
 */
export class ZookeeperNodes {
  readonly #paths: ZookeeperPaths;

  constructor(paths: ZookeeperPaths) {
    this.#paths = paths;
  }

  /** As new as anything that was acknowledged. */
  async get(connection: ZookeeperConnection, path: string): Promise<NodeData | null> {
    const [, node] = await Promise.all([connection.barrier(this.#paths.barrier), connection.get(path)]);
    return node;
  }

  /** Makes a node that stays. Null: there is one. */
  async create(connection: ZookeeperConnection, path: string, data: Uint8Array): Promise<bigint | null> {
    const { access } = connection;
    const { zxid, ...refused } = await connection.change({ op: "create", path, data, ephemeral: false, access });
    if (zxid === null && "code" in refused && refused.code === REFUSED.noNode) throw connection.foldersGone();
    return zxid;
  }

  /** Writes to a node if it is the wanted one. Null: it is not, or there is none. */
  async set(
    connection: ZookeeperConnection,
    path: string,
    data: Uint8Array,
    wanted: (node: NodeData) => boolean,
  ): Promise<bigint | null> {
    const count = this.#paths.deletionsOf(path);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const seen = await this.#see(connection, path, tries > 0);
      if (seen.node === null || !wanted(seen.node)) {
        if (tries > 0) return null;
        continue;
      }
      const { version } = seen.node.stat;
      const same = { op: "check" as const, path: count, version: seen.deletions };
      const { zxid } = await connection.change(same, { op: "set", path, data, version });
      if (zxid !== null) return zxid;
    }
    throw busy(path);
  }

  /** Deletes a node if it is the wanted one; `note` is kept for a while, and has no line ends. */
  async delete(
    connection: ZookeeperConnection,
    path: string,
    wanted: (node: NodeData) => boolean,
    note: string,
  ): Promise<"deleted" | "absent" | "another"> {
    const count = this.#paths.deletionsOf(path);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const seen = await this.#see(connection, path, tries > 0);
      if (seen.node === null || !wanted(seen.node)) {
        if (tries > 0) return seen.node === null ? "absent" : "another";
        continue;
      }
      const { version } = seen.node.stat;
      const noted = [`${path} ${note}`, ...seen.noted].slice(0, NOTED).join("\n");
      const counted = { op: "set" as const, path: count, data: Buffer.from(noted), version: seen.deletions };
      const { zxid } = await connection.change(counted, { op: "delete", path, version });
      if (zxid !== null) return "deleted";
    }
    throw busy(path);
  }

  /** What was noted when the last node of this path was deleted; null: it is not known any more. */
  async noteOf(connection: ZookeeperConnection, path: string): Promise<string | null> {
    const count = await connection.get(this.#paths.deletionsOf(path));
    const line = count === null ? undefined : linesOf(count).find((line) => line.startsWith(`${path} `));
    return line?.slice(path.length + 1) ?? null;
  }

  /** Makes folders that are not there yet. */
  async makeFolders(connection: ZookeeperConnection): Promise<void> {
    const { folders } = this.#paths;
    const { access } = connection;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      // To make what is there already takes a right that its user may not have.
      const found = await Promise.all(folders.map((path) => connection.exists(path)));
      const missing = folders.filter((_, index) => found[index] === null);
      if (missing.length === 0) return;
      const folder = { op: "create" as const, data: new Uint8Array(0), ephemeral: false, access };
      const outcome = await connection.change(...missing.map((path) => ({ ...folder, path })));
      if (outcome.zxid !== null) return;
      // Another control plane makes them at this moment, or this server is behind.
      if (outcome.code !== REFUSED.nodeExists)
        throw refusalOf(outcome.code, connection.address, `to make ${missing[outcome.index]}`);
      await connection.sync(this.#paths.root);
    }
    throw busy(this.#paths.root);
  }

  async #see(
    connection: ZookeeperConnection,
    path: string,
    surely: boolean,
  ): Promise<{ node: NodeData | null; deletions: number; noted: readonly string[] }> {
    const barrier = surely ? connection.barrier(this.#paths.barrier) : null;
    const counted = connection.get(this.#paths.deletionsOf(path));
    const [count, node] = await Promise.all([counted, connection.get(path), barrier]);
    if (count === null) throw connection.foldersGone();
    return { node, deletions: count.stat.version, noted: linesOf(count) };
  }
}

function linesOf({ data }: NodeData): string[] {
  return data.length === 0 ? [] : Buffer.from(data).toString("utf8").split("\n").slice(0, NOTED);
}

function busy(path: string): WeftError {
  const text = `others changed ${path}, or deleted its neighbours, each of the ${MAX_TRIES} times that it was tried; try again`;
  return new WeftError("unavailable", text, { reason: "ZOOKEEPER_BUSY", retryable: true });
}

const MAX_TRIES = 50;
/** Deletions of a part of all nodes that are remembered. */
const NOTED = 8;
