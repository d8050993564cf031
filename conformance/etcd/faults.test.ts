import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { KV, Lease } from "../../src/contract/gen/etcdserverpb/rpc.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { HurtLine } from "../hurt-line.ts";
import { Plane, TTL_MS, timeUntil } from "./control-plane.ts";
import { EtcdServer, wait } from "./server.ts";

/**
 * Two control planes on one etcd that is hurt. Each case says how long it takes, from etcd's recovery, until what one of them registers is seen by the other and etcd holds
 * everything again; and holds that nothing that was renewed has left either's view.
 */
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

async function plane(address = server.address): Promise<Plane> {
  const opened = await Plane.open(`etcd://${address}`, system);
  open.push(opened);
  return opened;
}

async function line(): Promise<HurtLine> {
  const opened = await HurtLine.open(server.port);
  open.push(opened);
  return opened;
}

/** Two control planes, with three endpoints each. */
async function two(first?: string, second?: string, ttlMs = TTL_MS): Promise<{ a: Plane; b: Plane }> {
  system = `faults-${++systems}`;
  const [a, b] = [await plane(first), await plane(second)];
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

/** What etcd itself has. */
async function held(): Promise<string> {
  await using direct = createDirectClient(KV, server.address);
  const key = Buffer.from(`/weft/${system}/endpoints/`);
  const rangeEnd = Buffer.from(`/weft/${system}/endpoints0`);
  const { kvs } = await direct.client.range({ key, rangeEnd }, { timeoutMs: 2_000 });
  return kvs.map((kv) => Buffer.from(kv.key).toString().split("/").at(-1)).join(" ");
}

test("killed and started again after 2 s", async () => {
  const both = await two();
  await server.kill();
  await wait(2_000);
  assert.equal((await both.a.registry.query(["alpha"])).endpoints.length, 6, "what is known stays in use");
  await server.start();
  await recovered("killed", both);
});

test("away for three lease periods", async () => {
  const both = await two();
  await server.kill();
  await wait(3 * TTL_MS);
  await server.start();
  await recovered("away for three lease periods", both);
});

test("stopped for 30 s, ten lease periods", async () => {
  const both = await two();
  server.pause();
  await wait(30_000);
  server.resume();
  await recovered("stopped", both);
});

test("its data lost", async () => {
  const both = await two();
  const { endpointVersion } = await both.a.registry.query([]);
  await server.kill();
  server.lose();
  await server.start();
  await recovered("data lost", both);
  const fresh = await plane();
  assert.ok((await fresh.registry.query([])).endpointVersion > endpointVersion, "versions were rolled back");
  assert.equal(fresh.ids(), SIX);
});

test("what dies while etcd is away leaves when it is back", async () => {
  const { a, b } = await two();
  await server.kill();
  b.forget(5);
  await wait(TTL_MS + 1_000);
  server.lose();
  await server.start();
  const started = performance.now();
  await timeUntil(() => [a, b].every((one) => one.ids() === SIX.replace("alpha-5 ", "")), "the dead one leaves", 6_000);
  console.log(`measured dead meanwhile: gone ${Math.round(performance.now() - started)} ms after recovery`);
  assert.deepEqual([a.left, b.left], [["alpha-5"], ["alpha-5"]]);
});

test("slow: 200 ms each way", async () => {
  const slow = await line();
  slow.delayMs = 200;
  const both = await two(slow.address, slow.address);
  const known = both.a.problems.length;
  await wait(TTL_MS * 2);
  assert.equal(both.a.problems.length, known, both.a.problems.join("\n"));
  await recovered("slow", both);
  assert.deepEqual(both.a.problems, []);
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

test("leases ended behind our back", async () => {
  const both = await two();
  await using kv = createDirectClient(KV, server.address);
  await using leases = createDirectClient(Lease, server.address);
  const range = { key: Buffer.from(`/weft/${system}/endpoints/`), rangeEnd: Buffer.from(`/weft/${system}/endpoints0`) };
  const { kvs } = await kv.client.range(range);
  await Promise.all(kvs.map(({ lease }) => leases.client.leaseRevoke({ ID: lease })));
  const started = performance.now();
  await timeUntil(async () => (await held()) === SIX, "put there again");
  await timeUntil(() => both.a.ids() === SIX && both.b.ids() === SIX, "both see all");
  console.log(`measured revoked: put there again after ${Math.round(performance.now() - started)} ms`);
  // Each keeps its own; the other's are away until they are back, for etcd was well.
  assert.ok(!both.a.left.some((id) => id <= "alpha-3") && !both.b.left.some((id) => id >= "alpha-4"));
});

test("connections reset in the middle of watches, ten times, while endpoints change", async () => {
  const [one, other] = [await line(), await line()];
  const both = await two(one.address, other.address);
  for (let round = 0; round < 10; round++) {
    const change = both.a.register(2, 7_000 + round).catch(() => {});
    (round % 2 === 0 ? other : one).reset();
    await change;
    await wait(100);
  }
  await recovered("reset", both);
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
      const started = performance.now();
      const port = 6_000 + round;
      const registered = (): Promise<boolean> =>
        a.register(2, port, 2 * TTL_MS).then(
          () => true,
          () => false,
        );
      await timeUntil(registered, "registering without one member", 8_000);
      await timeUntil(() => b.portOf(2) === port, "seen by the other");
      const took = Math.round(performance.now() - started);
      console.log(`measured member ${round + 1} of three killed: in use again after ${took} ms`);
      assert.ok(took < 5_000, `${took} ms`);
      await member.start();
      await wait(2_000);
    }
    assert.deepEqual([a.left, b.left], [[], []], "a healthy endpoint disappeared");
    assert.deepEqual([a.ids(), b.ids()], [SIX, SIX]);
  } finally {
    for (const member of members) await member.stop();
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
