import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { HurtLine } from "../hurt-line.ts";
import { Plane, succeeds, timeUntil, wait } from "../registry-plane.ts";
import { connect, keptEndpoints } from "./kept-endpoints.ts";
import { SeenSessions } from "./seen-sessions.ts";
import { ZookeeperServer } from "./server.ts";

/** What happens to the sessions of control planes. */
let server: ZookeeperServer;
const opened: { close(): Promise<unknown> }[] = [];
let systems = 0;
let system = "";

before(async () => {
  server = await ZookeeperServer.start();
});
after(() => server.stop());
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function open<T extends { close(): Promise<unknown> }>(opening: Promise<T>): Promise<T> {
  const one = await opening;
  opened.push(one);
  return one;
}

const plane = (address: string) => open(Plane.open(openZookeeperRegistry, { url: `zookeeper://${address}`, system }));

/** Two control planes with two endpoints each; the sessions of the first go through a line. */
async function two(): Promise<{ a: Plane; b: Plane; line: HurtLine; seen: SeenSessions }> {
  system = `sessions-${++systems}`;
  const seen = new SeenSessions();
  const line = await open(HurtLine.open(server.port, seen.hear));
  const a = await plane(line.address);
  const b = await plane(server.address);
  for (const number of [1, 2]) await a.register(number);
  for (const number of [3, 4]) await b.register(number);
  await timeUntil(() => a.ids() === FOUR && b.ids() === FOUR, "both see all");
  return { a, b, line, seen };
}

const FOUR = "alpha-1 alpha-2 alpha-3 alpha-4";

/** The planes whose sign of life is there. */
async function planes(): Promise<readonly string[]> {
  const connection = await connect(server.address);
  const names = await connection.children(`/weft/${system}/planes`);
  await connection.endSession();
  return names ?? [];
}

test("a session that is over by the server's word: a new one, and nothing is lost meanwhile", async () => {
  const { a, b, line, seen } = await two();
  const before = await planes();
  assert.equal(before.length, 2);
  assert.ok(seen.ticket !== null);
  line.refusing = true; // whose session it is takes it back at once
  const killer = await connect(server.address, seen.ticket);
  await killer.endSession();
  line.refusing = false;
  const started = performance.now();
  await timeUntil(() => seen.ids.length > 1 && seen.ids.at(-1) !== seen.ids[0], "a new session");
  await timeUntil(async () => (await planes()).length === 2, "its sign of life is there again");
  console.log(`measured zookeeper session over: a new one after ${Math.round(performance.now() - started)} ms`);
  await timeUntil(() => succeeds(a.register(1, 9_001)), "registering");
  await timeUntil(() => b.portOf(1) === 9_001, "seen by the other");
  assert.deepEqual([...(await planes())].sort(), [...before].sort());
  await wait(4_000);
  assert.deepEqual([a.left, b.left], [[], []], "a healthy endpoint disappeared");
  assert.deepEqual([...(await keptEndpoints(server.address, system))].sort().join(" "), FOUR);
});

test("a connection that breaks takes its session along, and its sign of life never ends", async () => {
  const { a, b, line, seen } = await two();
  const watcher = await connect(server.address);
  const before = await watcher.children(`/weft/${system}/planes`);
  for (let round = 0; round < 3; round++) {
    const known = seen.ids.length;
    line.reset();
    await timeUntil(() => seen.ids.length > known, "another connection");
    assert.equal(seen.ids.at(-1), seen.ids[0], "another session");
    assert.deepEqual(await watcher.children(`/weft/${system}/planes`), before);
  }
  await timeUntil(() => succeeds(a.register(1, 9_001)), "registering");
  await timeUntil(() => b.portOf(1) === 9_001, "seen by the other");
  assert.deepEqual([a.left, b.left], [[], []]);
  await watcher.endSession();
});

test("a control plane that dies: its endpoints leave when nobody registers them elsewhere, and stay when somebody does", async () => {
  system = `sessions-${++systems}`;
  const cut = await open(HurtLine.open(server.port));
  const a = await plane(cut.address);
  const b = await plane(server.address);
  for (const number of [1, 2, 3]) await a.register(number);
  await timeUntil(() => b.ids() === "alpha-1 alpha-2 alpha-3", "all are seen");
  for (const number of [1, 2, 3]) a.forget(number);
  // As killed: nothing is said to the server any more.
  cut.refusing = true;
  cut.reset();
  const started = performance.now();
  await timeUntil(async () => (await planes()).length === 1, "its session is over", 15_000);
  console.log(`measured zookeeper plane dead: its session over after ${Math.round(performance.now() - started)} ms`);
  await b.register(2);
  await timeUntil(() => b.ids() === "alpha-2", "what nobody registered again leaves", 25_000);
  console.log(`measured zookeeper plane dead: the rest gone after ${Math.round(performance.now() - started)} ms`);
  await timeUntil(async () => (await keptEndpoints(server.address, system)).join() === "alpha-2", "there, too");
  assert.deepEqual([...b.left].sort(), ["alpha-1", "alpha-3"]);
});

test("somebody deletes all of it: it is made again, with everything that is in use", async () => {
  const { a, b } = await two();
  const connection = await connect(server.address);
  const remove = async (path: string): Promise<void> => {
    for (const name of (await connection.children(path)) ?? []) await remove(`${path}/${name}`);
    // What is put there again at once keeps its folder.
    await connection.change({ op: "delete", path, version: -1 }).catch(() => {});
  };
  await remove(`/weft/${system}`);
  const started = performance.now();
  await timeUntil(
    async () => [...(await keptEndpoints(server.address, system))].sort().join(" ") === FOUR,
    "everything is there again",
    10_000,
  );
  console.log(`measured zookeeper deleted: everything there again after ${Math.round(performance.now() - started)} ms`);
  await timeUntil(() => a.ids() === FOUR && b.ids() === FOUR, "both see all");
  await timeUntil(async () => (await planes()).length === 2, "signs of life");
  await connection.endSession();
});

test("a sign of life that somebody deletes before its control plane follows what is there is made again", async () => {
  system = `sessions-${++systems}`;
  await (await openZookeeperRegistry({ url: `zookeeper://${server.address}`, system })).close(); // makes the folders
  const slow = await open(HurtLine.open(server.port));
  const folder = `/weft/${system}/planes`;
  const connection = await connect(server.address);
  slow.delayMs = 100;
  const opening = plane(slow.address);
  await timeUntil(async () => ((await connection.children(folder)) ?? []).length === 1, "its sign of life is there");
  const [name] = (await connection.children(folder)) ?? [];
  await connection.change({ op: "delete", path: `${folder}/${name}`, version: -1 });
  await opening;
  assert.deepEqual(await planes(), [name]);
  await connection.endSession();
});

test("a change whose answer is lost is said to be of unknown outcome, and is not made twice", async () => {
  system = `sessions-${++systems}`;
  const line = await open(HurtLine.open(server.port));
  const store = await open(openZookeeperKeyValue({ url: `zookeeper://${line.address}`, system }));
  await store.put("case/a", Buffer.from("1"), ANY);
  const other = await open(openZookeeperKeyValue({ url: `zookeeper://${server.address}`, system }));
  const value = async (): Promise<string> => Buffer.from((await other.get("case/a"))?.value ?? []).toString();
  line.delayMs = 1_000;
  const put = store.put("case/a", Buffer.from("2"), ANY);
  put.catch(() => {}); // looked at below
  await timeUntil(async () => (await value()) === "2", "it is made, and its answer is on the way");
  line.reset();
  await assert.rejects(put, { code: "unavailable", reason: "OUTCOME_UNKNOWN" });
  line.delayMs = 0;
  assert.equal(await value(), "2");
  const item = await other.put("case/a", Buffer.from("3"), ANY);
  await timeUntil(async () => (await store.get("case/a"))?.version === item, "in use again");
});

test("a version of data that were lost is none of those that come after, whatever their numbers", async () => {
  system = `sessions-${++systems}`;
  const store = await open(openZookeeperKeyValue({ url: `zookeeper://${server.address}`, system }));
  const a = await plane(server.address);
  await a.register(1);
  const old = (await store.put("case/a", Buffer.from("1"), ANY)) ?? "";
  await server.kill();
  server.lose();
  await server.start();
  await timeUntil(() => succeeds(store.put("case/a", Buffer.from("2"), ANY)), "in use again");
  for (let i = 0; i < 400; i++) {
    assert.equal(await store.put("case/a", Buffer.from("3"), old), null);
    await store.put("case/a", Buffer.from("2"), ANY);
  }
  await timeUntil(() => succeeds(a.register(1, 9_001)), "registering");
  assert.deepEqual(a.left, []); // and its deltas' versions grew, which it looks after
});
