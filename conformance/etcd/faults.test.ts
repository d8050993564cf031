import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { KV, Lease } from "../../src/contract/gen/etcdserverpb/rpc.ts";
import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import type { ConsistencyMode } from "../../src/registry/registry.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { HurtLine } from "../hurt-line.ts";
import { registryFaults } from "../registry-faults.ts";
import { Plane, TTL_MS, timeUntil, wait } from "../registry-plane.ts";
import { EtcdServer } from "./server.ts";

registryFaults("etcd", {
  server: () => EtcdServer.start(),
  url: (address) => `etcd://${address}`,
  open: openEtcdRegistry,
  kept: (address, system) => keysOf(address, system),
});

/** What is etcd's alone, and holds beside. */
let server: EtcdServer;
const open: { close(): Promise<unknown> }[] = [];
let systems = 0;
let system = "";

before(async () => {
  server = await EtcdServer.start();
});
after(() => server.stop());
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function plane(address = server.address, mode?: ConsistencyMode): Promise<Plane> {
  const opened = await Plane.open(openEtcdRegistry, { url: `etcd://${address}`, system, mode });
  open.push(opened);
  return opened;
}

async function line(): Promise<HurtLine> {
  const opened = await HurtLine.open(server.port);
  open.push(opened);
  return opened;
}

/** Two control planes, with three endpoints each. */
async function two(
  first?: string,
  second?: string,
  ttlMs = TTL_MS,
  mode?: ConsistencyMode,
): Promise<{ a: Plane; b: Plane }> {
  system = `special-${++systems}`;
  const [a, b] = [await plane(first, mode), await plane(second, mode)];
  for (const number of [1, 2, 3]) await a.register(number, 9_000, ttlMs);
  for (const number of [4, 5, 6]) await b.register(number, 9_000, ttlMs);
  await timeUntil(() => a.ids() === SIX && b.ids() === SIX, "both see all");
  return { a, b };
}

const SIX = "alpha-1 alpha-2 alpha-3 alpha-4 alpha-5 alpha-6";

/** Something new gets through both ways, and etcd itself has everything. */
async function recovered(what: string, { a, b }: { a: Plane; b: Plane }): Promise<void> {
  const started = performance.now();
  const again = async (work: () => Promise<unknown>): Promise<void> => {
    await timeUntil(
      () =>
        work().then(
          () => true,
          () => false,
        ),
      `${what}: registering`,
    );
  };
  await Promise.all([again(() => a.register(1, 9_001)), again(() => b.register(4, 9_004))]);
  await timeUntil(() => b.portOf(1) === 9_001 && a.portOf(4) === 9_004, `${what}: seeing each other's changes`);
  await timeUntil(async () => (await held()) === SIX, `${what}: etcd has everything`);
  const took = Math.round(performance.now() - started);
  console.log(`measured ${what}: right again ${took} ms after recovery`);
  assert.ok(took < 5_000, `${took} ms`);
  assert.deepEqual([a.left, b.left], [[], []], "a healthy endpoint disappeared");
  assert.deepEqual([a.ids(), b.ids()], [SIX, SIX]);
  // Nor later, when what was held would be given up.
  await wait(5_000);
  assert.deepEqual([a.left, b.left], [[], []], "a healthy endpoint disappeared afterwards");
  const lost = [...a.problems, ...b.problems].filter((problem) => problem.includes("LEASE_"));
  assert.deepEqual(lost, [], "an owner lost its lease");
}

async function held(): Promise<string> {
  return (await keysOf(server.address, system)).join(" ");
}

/** Whether a member knows a leader, and a quorum answers that. */
async function answers({ address }: EtcdServer): Promise<boolean> {
  await using direct = createDirectClient(KV, address);
  return await direct.client.range({ key: Buffer.of(1) }, { timeoutMs: 1_000 }).then(
    () => true,
    () => false,
  );
}

/** What etcd itself has. */
async function keysOf(address: string, system: string): Promise<string[]> {
  await using direct = createDirectClient(KV, address);
  const { kvs } = await direct.client.range(below("endpoints", system), { timeoutMs: 2_000 });
  return kvs.map((kv) => Buffer.from(kv.key).toString().split("/").at(-1) ?? "");
}

function below(folder: string, of = system): { key: Uint8Array; rangeEnd: Uint8Array } {
  const key = `/weft/${of}/${folder}`;
  return { key: Buffer.from(`${key}/`), rangeEnd: Buffer.from(`${key}0`) };
}

test("its data lost: versions go on above what was told", async () => {
  const { a } = await two();
  const { endpointVersion } = await a.registry.query([]);
  await server.kill();
  server.lose();
  await server.start();
  await timeUntil(async () => (await held().catch(() => "")) === SIX, "etcd has everything");
  const fresh = await plane();
  assert.ok((await fresh.registry.query([])).endpointVersion > endpointVersion, "versions were rolled back");
  assert.equal(fresh.ids(), SIX);
});

test("the watch compacted away while a control plane was cut off", async () => {
  const cut = await line();
  const both = await two(undefined, cut.address);
  cut.refusing = true;
  cut.reset();
  for (let port = 8_000; port < 8_020; port++) await both.a.register(2, port);
  await using direct = createDirectClient(KV, server.address);
  const { header } = await direct.client.range({ key: Buffer.of(1) });
  await direct.client.compact({ revision: header?.revision ?? 0n, physical: true });
  await wait(1_000);
  cut.refusing = false;
  await timeUntil(() => both.b.portOf(2) === 8_019, "the last of what it missed");
  assert.equal(both.b.deltas.filter(({ full }) => full).length, 2, "the whole state, once more");
  await recovered("compacted", both);
});

test("the watch of a key compacted away while its control plane was cut off", async () => {
  const cut = await line();
  const [near, far] = await Promise.all(
    [server.address, cut.address].map((address) => openEtcdKeyValue({ url: `etcd://${address}`, system: "compacted" })),
  );
  open.push(near, far);
  const told: string[] = [];
  far.watch("a", (item) => told.push(Buffer.from(item?.value ?? []).toString()));
  await near.put("a", Buffer.from("0"), ANY);
  await timeUntil(() => told.at(-1) === "0", "the value before");
  cut.refusing = true;
  cut.reset();
  for (let value = 1; value <= 20; value++) await near.put("a", Buffer.from(String(value)), ANY);
  await using direct = createDirectClient(KV, server.address);
  const { header } = await direct.client.range({ key: Buffer.of(1) });
  await direct.client.compact({ revision: header?.revision ?? 0n, physical: true });
  await wait(1_000);
  cut.refusing = false;
  const took = await timeUntil(() => told.at(-1) === "20", "the value that it missed");
  console.log(`measured etcd, watch of a key compacted away: right again ${Math.round(took)} ms after recovery`);
});

test("the leases of both planes' signs of life ended behind our back", async () => {
  const both = await two();
  await using kv = createDirectClient(KV, server.address);
  await using leases = createDirectClient(Lease, server.address);
  const signs = async () => (await kv.client.range(below("planes"))).kvs;
  const before = await signs();
  assert.equal(before.length, 2);
  await Promise.all(before.map(({ lease }) => leases.client.leaseRevoke({ ID: lease })));
  const took = await timeUntil(async () => (await signs()).length === 2, "both signs are there again");
  console.log(`measured etcd, leases ended: signs of life there again after ${Math.round(took)} ms`);
  await recovered("leases ended", both);
  const old = new Set(before.map(({ lease }) => lease));
  assert.ok((await signs()).every(({ lease }) => !old.has(lease)));
});

for (const mode of ["available", "consistent"] as const) {
  test(`all keys of the system deleted by hand, in the mode ${mode}`, async () => {
    const both = await two(undefined, undefined, TTL_MS, mode);
    await using kv = createDirectClient(KV, server.address);
    const system_ = Buffer.from(`/weft/${system}/`);
    await kv.client.txn({
      success: [
        {
          request: {
            case: "requestDeleteRange",
            value: { key: system_, rangeEnd: Buffer.from(`/weft/${system}0`) },
          },
        },
      ],
    });
    await recovered(`deleted by hand (${mode})`, both);
  });
}

test("a name of other data: nothing is written into them before it is known what they are", async () => {
  const { a } = await two();
  await using kv = createDirectClient(KV, server.address);
  const { endpointVersion } = await a.registry.query([]);
  // In one transaction, so that whoever writes after it writes to data that it does not know.
  const epoch = { key: Buffer.from(`/weft/${system}/epoch`), value: Buffer.from('{"id":"another","floor":7}') };
  const endpoint = { key: Buffer.from(`/weft/${system}/endpoints/alpha-2`) };
  const renamed = kv.client.txn({
    success: [
      { request: { case: "requestPut", value: epoch } },
      { request: { case: "requestDeleteRange", value: endpoint } },
    ],
  });
  await Promise.all([renamed, ...Array.from({ length: 20 }, (_, index) => a.register(1, 9_100 + index))]);
  await timeUntil(async () => (await held()) === SIX, "etcd has everything");
  assert.ok((await a.registry.query([])).endpointVersion > endpointVersion);
  assert.deepEqual(a.left, []);
  assert.equal(a.portOf(1), 9_119);
});

test("what is no endpoint is said once, and its id can be registered", async () => {
  const { a, b } = await two();
  await using kv = createDirectClient(KV, server.address);
  for (const id of ["alpha-7", "alpha-2"])
    await kv.client.put({ key: Buffer.from(`/weft/${system}/endpoints/${id}`), value: Buffer.from("{}") });
  await timeUntil(() => a.portOf(2) === 9_000 && b.portOf(2) === 9_000, "what was spoiled is put there again");
  const said = () => b.problems.filter((problem) => problem.includes("holds no endpoint"));
  await timeUntil(() => said().length >= 2, "it is said");
  await b.register(7, 9_007);
  await timeUntil(() => a.portOf(7) === 9_007, "the other sees it");
  assert.equal(said().length, 2, said().join("\n"));
  assert.deepEqual([a.left, b.left], [[], []]);
});

test("silent without a word: another server of the list is used", async () => {
  const dead = await line();
  // It takes up to 3.5 s until silence is noticed: shorter leases end meanwhile, as they should.
  const both = await two(`${dead.address},${server.address}`, `${server.address},127.0.0.1:1`, 2 * TTL_MS);
  dead.silent = true;
  await wait(TTL_MS);
  await recovered("silent", both);
});

test("three members, each killed in turn and started again", async () => {
  const members = await EtcdServer.cluster(3);
  const addresses = members.map(({ address }) => address).join(",");
  try {
    const { a, b } = await two(addresses, addresses, 2 * TTL_MS);
    for (const [round, member] of members.entries()) {
      await member.kill();
      const other = members[(round + 1) % members.length];
      // Those that are left may have to choose a leader, more than once where two want to be it at once.
      const chosen = timeUntil(() => answers(other), "etcd without one member", 30_000).then(() => performance.now());
      const port = 6_000 + round;
      const registered = (): Promise<boolean> =>
        a.register(2, port, 2 * TTL_MS).then(
          () => true,
          () => false,
        );
      await timeUntil(registered, "registering without one member", 30_000);
      await timeUntil(() => b.portOf(2) === port, "seen by the other");
      const took = Math.max(0, Math.round(performance.now() - (await chosen)));
      console.log(`measured member ${round + 1} of three killed: in use again after ${took} ms`);
      assert.ok(took < 5_000, `${took} ms`);
      await member.start();
    }
    assert.deepEqual([a.left, b.left], [[], []], "a healthy endpoint disappeared");
    assert.deepEqual([a.ids(), b.ids()], [SIX, SIX]);
  } finally {
    for (const member of members) await member.stop();
  }
});

test("two of three members stand still: the third has no quorum, and what is known by it is not taken for all", async () => {
  const members = await EtcdServer.cluster(3);
  try {
    const third = members[2].address;
    const both = await two(third, third, 4 * TTL_MS);
    for (const member of members.slice(0, 2)) member.pause();
    const stale = async () => (await both.a.registry.query([])).staleMs > 1_000;
    console.log(
      `measured etcd, no quorum: said after ${Math.round(await timeUntil(stale, "it says how stale it is"))} ms`,
    );
    await assert.rejects(both.a.register(7), { code: "unavailable" });
    for (const member of members.slice(0, 2)) member.resume();
    await timeUntil(() => answers(members[2]), "a quorum", 30_000);
    const took = await timeUntil(
      () =>
        both.a.register(2, 9_002, 4 * TTL_MS).then(
          () => true,
          () => false,
        ),
      "registering again",
    );
    await timeUntil(() => both.b.portOf(2) === 9_002, "seen by the other");
    await timeUntil(async () => (await both.b.registry.query([])).staleMs === 0, "it is in touch");
    console.log(`measured etcd, no quorum: right again ${Math.round(took)} ms after recovery`);
    assert.deepEqual([both.a.left, both.b.left], [[], []], "a healthy endpoint disappeared");
  } finally {
    for (const member of members) {
      member.resume();
      await member.stop();
    }
  }
});

test("nobody there: it says so, and where it looked", async () => {
  const opening = openEtcdRegistry({
    url: "etcd://me:secret@127.0.0.1:1,127.0.0.1:2",
    system: "shop",
    openTimeoutMs: 500,
  });
  const thrown = await opening.then(
    () => assert.fail("opened"),
    (error: Error & { code: string }) => error,
  );
  assert.equal(thrown.code, "unavailable");
  assert.match(thrown.message, /127\.0\.0\.1:1, 127\.0\.0\.1:2/);
  assert.ok(!thrown.message.includes("secret"));
});
