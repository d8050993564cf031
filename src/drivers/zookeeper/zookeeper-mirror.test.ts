import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../../core/errors.ts";
import type { KeptEntry } from "../../registry/endpoint-backend.ts";
import { encodeEndpointEntry } from "../../registry/endpoint-value.ts";
import type { ZookeeperConnection } from "./zookeeper-connection.ts";
import type { NodeData, WatchEvent } from "./zookeeper-messages.ts";
import { ZookeeperMirror } from "./zookeeper-mirror.ts";
import { ZookeeperPaths } from "./zookeeper-paths.ts";

const paths = new ZookeeperPaths("/weft", "shop");
const IDS = ["a", "b", "c", "d:1/x"];
const NODES = { noteOf: async () => null };
const PLANES = ["p1", "p2"];

/** What ZooKeeper does with a connection, in any interleaving: requests are carried out in order, and answers and events arrive in order, many in one turn or few. */
class Model {
  readonly nodes = new Map<string, NodeData>();
  readonly planes = new Set<string>();
  zxid = 1n;
  readonly #waiting = new Set<(error: WeftError) => void>();
  #requests: (() => void)[] = [];
  #arriving: (() => void)[] = [];
  #watched = new Set<string>();
  #onWatch: (event: WatchEvent) => void = () => {};

  connect(onWatch: (event: WatchEvent) => void): ZookeeperConnection {
    // What an earlier connection was asked is answered by its end.
    for (const reject of this.#waiting) reject(new WeftError("unavailable", "lost"));
    this.#waiting.clear();
    this.#requests = [];
    this.#arriving = [];
    this.#watched = new Set();
    this.#onWatch = onWatch;
    const ask = <T>(what: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        this.#waiting.add(reject);
        this.#requests.push(() => {
          const answer = what();
          this.#arriving.push(() => {
            this.#waiting.delete(reject);
            resolve(answer);
          });
        });
      });
    const get = (path: string): NodeData | null => this.nodes.get(path) ?? null;
    return {
      failure: null,
      addWatch: (path: string) => ask(() => void this.#watched.add(path)),
      barrier: () => ask(() => ++this.zxid),
      exists: () => ask(() => ({ czxid: 1n, mzxid: 1n, ctime: 1n, version: 0, ephemeralOwner: 0n })),
      children: (path: string) =>
        ask(() =>
          path === paths.planes ? [...this.planes] : [...this.nodes.keys()].map((node) => node.slice(path.length + 1)),
        ),
      get: (path: string) => ask(() => get(path)),
      look: (path: string) => ask(() => ({ node: get(path), zxid: this.zxid })),
      foldersGone: () => new WeftError("unavailable", "gone"),
    } as unknown as ZookeeperConnection;
  }

  put(id: string, plane: string, port: number): void {
    const path = paths.endpoint(id);
    const kind = this.nodes.has(path) ? "changed" : "created";
    const mzxid = ++this.zxid;
    const endpoint = { id, service: "alpha", host: "h", port, version: "", zone: "", weight: 1, metadata: {} };
    const data = encodeEndpointEntry({
      endpoint: { ...endpoint, protocol: "h2c", health: "healthy" },
      check: "healthy",
      owner: `o${port}`,
      plane,
      ttlMs: 1_000,
    });
    this.nodes.set(path, { data, stat: { czxid: mzxid, mzxid, ctime: 1n, version: 0, ephemeralOwner: 0n } });
    this.#tell(paths.endpoints, { kind, path });
  }

  remove(id: string): void {
    const path = paths.endpoint(id);
    if (!this.nodes.delete(path)) return;
    this.zxid++;
    this.#tell(paths.endpoints, { kind: "deleted", path });
  }

  turn(plane: string): void {
    this.zxid++;
    const kind = this.planes.delete(plane) ? "deleted" : "created";
    if (kind === "created") this.planes.add(plane);
    this.#tell(paths.planes, { kind, path: paths.plane(plane) });
  }

  carryOut(count: number): void {
    for (const request of this.#requests.splice(0, count)) request();
  }

  arrive(count: number): void {
    for (const one of this.#arriving.splice(0, count)) one();
  }

  get idle(): boolean {
    return this.#requests.length === 0 && this.#arriving.length === 0;
  }

  seen(): Map<string, string> {
    const mirror = new ZookeeperMirror(paths, NODES, { changed: () => {}, unusable: () => {} });
    return new Map(
      Array.from(this.nodes, ([path, node]) => {
        const { entry, version } = mirror.decode(decodeURIComponent(path.slice(paths.endpoints.length + 1)), node) ?? {
          entry: null,
          version: 0,
        };
        assert.ok(entry !== null);
        return [entry.endpoint.id, `${version} ${!this.planes.has(entry.plane)}`];
      }),
    );
  }

  #tell(folder: string, event: WatchEvent): void {
    if (this.#watched.has(folder)) this.#arriving.push(() => this.#onWatch(event));
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("put"), which: fc.nat(3), plane: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove"), which: fc.nat(3), plane: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("turn"), which: fc.constant(0), plane: fc.nat(1) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("carry out"), which: fc.nat(5), plane: fc.constant(0) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("arrive"), which: fc.nat(5), plane: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reconnect"), which: fc.constant(0), plane: fc.constant(0) }) },
);

test("however requests, answers and events interleave, what is told adds up to what is there, and so does what is known when it has settled", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const model = new Model();
      /** As a follower keeps it: what is older than what it knows changes nothing. */
      const told = new Map<string, { version: number; orphaned: boolean }>();
      const put = ({ entry, version, orphaned = false }: KeptEntry): void => {
        const known = told.get(entry.endpoint.id);
        if (known === undefined || known.version <= version) told.set(entry.endpoint.id, { version, orphaned });
      };
      const mirror = new ZookeeperMirror(paths, NODES, {
        changed: (changes) => {
          for (const change of changes) {
            if (change.kind === "put") put(change);
            else if ((told.get(change.id)?.version ?? 0) <= (change.version ?? 0)) told.delete(change.id);
          }
        },
        unusable: (error) => assert.fail(error.message),
      });
      let connection = model.connect((event) => mirror.take(event));
      const list = (): void => {
        const of = connection;
        mirror.list(of).then(
          ({ all }) => {
            if (of !== connection) return;
            told.clear();
            for (const kept of all) put(kept);
          },
          () => {}, // its connection ended
        );
      };
      const turn = () => new Promise((resolve) => setImmediate(resolve));
      list();
      let port = 1;
      for (const { kind, which, plane } of steps) {
        if (kind === "put") model.put(IDS[which], PLANES[plane], port++);
        else if (kind === "remove") model.remove(IDS[which]);
        else if (kind === "turn") model.turn(PLANES[plane]);
        else if (kind === "carry out") model.carryOut(which + 1);
        else if (kind === "arrive") {
          model.arrive(which + 1);
          await turn();
        } else {
          connection = model.connect((event) => mirror.take(event));
          list();
        }
      }
      for (let quiet = 0; quiet < 3; ) {
        model.carryOut(Number.POSITIVE_INFINITY);
        model.arrive(Number.POSITIVE_INFINITY);
        await turn();
        quiet = model.idle ? quiet + 1 : 0;
      }
      await mirror.settled(connection);
      const known = new Map(
        mirror.all().map(({ entry, version, orphaned }) => [entry.endpoint.id, `${version} ${orphaned}`]),
      );
      const heard = new Map(Array.from(told, ([id, { version, orphaned }]) => [id, `${version} ${orphaned}`]));
      const wanted = model.seen();
      assert.deepEqual(new Map([...known].sort()), new Map([...wanted].sort()));
      assert.deepEqual(new Map([...heard].sort()), new Map([...wanted].sort()));
    }),
    { numRuns: 150 },
  );
});

test("what was taken away during a gap is told as removed, what is missing else is not", async () => {
  const model = new Model();
  const notes = new Map<string, string>();
  const nodes = { noteOf: async (_: ZookeeperConnection, path: string) => notes.get(path) ?? null };
  const mirror = new ZookeeperMirror(paths, nodes, { changed: () => {}, unusable: () => {} });
  const list = async () => {
    const listing = mirror.list(model.connect((event) => mirror.take(event)));
    let listed = false;
    listing.finally(() => (listed = true));
    while (!listed) {
      model.carryOut(Number.POSITIVE_INFINITY);
      model.arrive(Number.POSITIVE_INFINITY);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return await listing;
  };
  for (const [index, id] of IDS.entries()) model.put(id, "p1", index + 1);
  assert.deepEqual((await list()).removed, []);
  for (const id of ["a", "b", "c"]) model.remove(id);
  notes.set(paths.endpoint("a"), "o1");
  notes.set(paths.endpoint("b"), "another's, before it");
  model.put("d:1/x", "p1", 9);
  notes.set(paths.endpoint("d:1/x"), "o4");
  const { all, removed } = await list();
  assert.deepEqual(removed, [{ kind: "removed", id: "a", orphaned: false }]);
  assert.equal(all.length, 1);
});
