import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import type { BackendEvents, EndpointBackend, KeptEntry } from "../../registry/endpoint-backend.ts";
import { decodeEndpointEntry, type EndpointEntry, encodeEndpointEntry } from "../../registry/endpoint-value.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { ZookeeperClient } from "./zookeeper-client.ts";
import type { ZookeeperConnection } from "./zookeeper-connection.ts";
import { type Change, type NodeData, REFUSED } from "./zookeeper-messages.ts";
import { ZookeeperMirror } from "./zookeeper-mirror.ts";
import { ZookeeperNodes } from "./zookeeper-nodes.ts";
import { ZookeeperPaths } from "./zookeeper-paths.ts";
import type { ZookeeperTarget } from "./zookeeper-url.ts";

export interface ZookeeperBackendOptions {
  target: ZookeeperTarget;
  system: string;
  clock: Clock;
  random: Random;
}

/**
 * Endpoints in nodes that stay, each with the name of its plane; an ephemeral node of each plane is its sign of life, so when its session ends all that it holds is
 * orphaned at once, and nothing has to be written again when it has a new one.
 *
 *     connection --sign of life, watches, list--> whole --events--> changed ...
 *         ^------------ next server, same session, or a new one when that is over ----'
 */
export class ZookeeperBackend implements EndpointBackend {
  readonly name: string;
  readonly #options: ZookeeperBackendOptions;
  readonly #paths: ZookeeperPaths;
  readonly #nodes: ZookeeperNodes;
  #following: Following | null = null;
  #closed = false;

  /** Throws `invalid_argument` for a system that is none. */
  constructor(options: ZookeeperBackendOptions) {
    assertServiceName(options.system, "system");
    this.#options = options;
    this.name = `ZooKeeper at ${options.target.addresses.join(", ")}`;
    this.#paths = new ZookeeperPaths(options.target.prefix, options.system);
    this.#nodes = new ZookeeperNodes(this.#paths);
  }

  follow(plane: string, events: BackendEvents): Promise<void> {
    return new Promise((resolve, reject) => {
      const mirror = new ZookeeperMirror(this.#paths, this.#nodes, {
        changed: (changes) => this.#closed || events.changed(changes),
        unusable: (error) => this.#closed || events.unusable(error),
      });
      const { target, clock, random } = this.#options;
      let current: ZookeeperConnection | null = null;
      let latest: ZookeeperConnection | null = null;
      const client: ZookeeperClient = new ZookeeperClient({
        target,
        clock,
        random,
        sessionTimeoutMs: SESSION_MS,
        onConnection: async (connection) => {
          latest = connection;
          await this.#nodes.makeFolders(connection);
          await this.#signOfLife(connection, plane, client.sessionId);
          const { all, lost, removed } = await mirror.list(connection);
          // Somebody deleted it before it was watched.
          if (!mirror.lives(plane)) throw connection.foldersGone();
          current = connection;
          if (this.#closed) return;
          events.whole(all, lost);
          if (removed.length > 0) events.changed(removed);
          resolve();
        },
        onWatch: (event) => {
          mirror.take(event);
          // Somebody deleted this plane's: the next connection makes it again.
          if (event.kind === "deleted" && event.path === this.#paths.plane(plane)) latest?.foldersGone();
        },
        onBeat: () => {
          const connection = current;
          if (connection === null) return;
          mirror.settled(connection).then(
            () => this.#closed || connection !== current || events.confirmed(),
            () => {}, // said when the connection's end is
          );
        },
        onChange: (lost) => {
          if (lost === null || this.#closed) return;
          current = null;
          events.lost(lost);
          if (HOPELESS.has(lost.code)) reject(lost);
        },
        closed: backendClosed,
      });
      this.#following = { client, mirror };
    });
  }

  async replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    const path = this.#paths.endpoint(entry.endpoint.id);
    const data = encodeEndpointEntry(entry);
    const { client, mirror } = this.#followed();
    return await client.call(async (connection) => {
      const wanted = expected === 0 ? null : mirror.versions.zxidOf(expected);
      if (expected !== 0 && wanted === null) return null;
      const zxid =
        wanted === null
          ? // What holds no endpoint is nobody's: whoever registers its id writes over it.
            ((await this.#nodes.create(connection, path, data)) ??
            (await this.#nodes.set(connection, path, data, (node) => mirror.decode(entry.endpoint.id, node) === null)))
          : await this.#nodes.set(connection, path, data, ({ stat }) => stat.mzxid === wanted);
      return zxid === null ? null : mirror.versions.of(zxid);
    });
  }

  async remove(id: string, owner: string): Promise<void> {
    const path = this.#paths.endpoint(id);
    const { client } = this.#followed();
    await client.call((connection) => this.#nodes.delete(connection, path, (node) => ownerOf(node) === owner, owner));
  }

  async get(id: string): Promise<KeptEntry | null> {
    const { client, mirror } = this.#followed();
    return await client.call(async (connection) => {
      const node = await this.#nodes.get(connection, this.#paths.endpoint(id));
      return node === null ? null : mirror.decode(id, node);
    });
  }

  async read(): Promise<readonly KeptEntry[]> {
    const { client, mirror } = this.#followed();
    return await client.call(async (connection) => {
      await connection.barrier(this.#paths.barrier);
      await mirror.settled(connection);
      return mirror.all();
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#following?.client.close(true);
  }

  #followed(): Following {
    if (this.#following === null || this.#closed) throw backendClosed();
    return this.#following;
  }

  /** A node of this plane that ends with its session; one of an earlier session that is not over yet is replaced. */
  async #signOfLife(connection: ZookeeperConnection, plane: string, session: bigint): Promise<void> {
    const path = this.#paths.plane(plane);
    const { access } = connection;
    const create: Change = { op: "create", path, data: new Uint8Array(0), ephemeral: true, access };
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const outcome = await connection.change(create);
      if (outcome.zxid !== null) return;
      if (outcome.code !== REFUSED.nodeExists) break;
      await connection.sync(path);
      const found = await connection.exists(path);
      if (found?.ephemeralOwner === session) return;
      if (found === null) continue; // the other session's end came between
      const again = await connection.change({ op: "delete", path, version: -1 }, create);
      if (again.zxid !== null) return;
    }
    throw connection.foldersGone();
  }
}

interface Following {
  readonly client: ZookeeperClient;
  readonly mirror: ZookeeperMirror;
}

/** Null: it holds no endpoint. */
function ownerOf({ data }: NodeData): string | null {
  try {
    return decodeEndpointEntry(data).owner;
  } catch {
    return null;
  }
}

function backendClosed(): WeftError {
  return new WeftError("unavailable", "the line to ZooKeeper is closed", { reason: "BACKEND_CLOSED" });
}

/** So long after its last sign a plane is taken for dead. */
const SESSION_MS = 10_000;
const MAX_TRIES = 5;
const HOPELESS: ReadonlySet<string> = new Set([
  "unauthenticated",
  "permission_denied",
  "invalid_argument",
  "failed_precondition",
]);
