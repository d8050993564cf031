import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { FarKeyValue } from "./far-key-value.case.ts";
import { ANY } from "./key-value.ts";
import { KeyValueRevisions } from "./key-value-revisions.ts";
import { MemoryKeyValue } from "./memory-key-value.ts";
import { revisionStoreCases } from "./revision-store.case.ts";
import type { StoredRevision } from "./revision-store.ts";

revisionStoreCases("key value", async () => {
  const store = new MemoryKeyValue();
  return { open: async () => new KeyValueRevisions(store), openAnother: async () => new KeyValueRevisions(store) };
});

test("a hint that is wrong, behind or gone is put right", async () => {
  const store = new MemoryKeyValue();
  const writer = new KeyValueRevisions(store);
  for (let number = 1; number <= 5; number++) await writer.append(revisionOf(number));
  await writer.close();
  for (const wrong of ["2", "99", "nonsense", ""]) {
    await store.put("revisions/head", Buffer.from(wrong), ANY);
    const reader = new KeyValueRevisions(store);
    assert.equal((await reader.head())?.revision, 5, wrong);
    await reader.close();
    assert.equal(Buffer.from((await store.get("revisions/head"))?.value ?? []).toString(), "5");
  }
});

test("the newest is found while somebody publishes faster than it can be read, and mostly by one look", async () => {
  const store = new MemoryKeyValue();
  const busy = new KeyValueRevisions(store);
  await busy.append(revisionOf(1));
  const far = new MemoryKeyValue();
  let published = 1;
  let hammered = true;
  let asked = 0;
  const waiting: (() => void)[] = [];
  /** All that is asked in one turn is answered together, and one revision is published meanwhile. */
  const slow = async (): Promise<void> => {
    asked++;
    await new Promise<void>((resolve) => {
      if (waiting.push(resolve) > 1) return;
      setImmediate(async () => {
        if (hammered) await busy.append(revisionOf(++published));
        for (const go of waiting.splice(0)) go();
      });
    });
  };
  far.get = (key) => slow().then(() => store.get(key));
  far.keys = (prefix) => slow().then(() => store.keys(prefix));
  const reader = new KeyValueRevisions(far);
  const before = published;
  const found = (await reader.newest())?.revision ?? 0;
  assert.ok(found >= before && found <= published, `${found} of ${before} to ${published}`);
  hammered = false;
  await reader.newest();
  asked = 0;
  assert.equal((await reader.newest())?.revision, published);
  assert.equal(asked, 3, "asked at once");
  await reader.close();
  await busy.close();
});

test("that all were lost is told, also where there are as many again when it is looked next", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  const far = new FarKeyValue(store);
  const writer = new KeyValueRevisions(store);
  const reader = new KeyValueRevisions(far, { clock });
  const numbers: number[] = [];
  reader.watch((number) => numbers.push(number));
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  for (let number = 1; number <= 2; number++) await writer.append(revisionOf(number));
  await settled();
  assert.equal(numbers.at(-1), 2);
  far.away = true;
  for (const key of await store.keys("revisions")) await store.delete(key, ANY);
  const other = new KeyValueRevisions(store);
  for (let number = 1; number <= 2; number++) await other.append(revisionOf(number));
  await settled();
  far.away = false;
  numbers.length = 0;
  for (let look = 0; look < 2; look++) {
    clock.advance(5_000);
    await settled();
  }
  assert.deepEqual(numbers, [0, 2]);
  for (const each of [reader, writer, other]) await each.close();
});

test("what cannot be looked at when the store tells of it is looked at a moment later; so is a hint that could not be given", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  const far = new FarKeyValue(store);
  const put = store.put.bind(store);
  const writer = new KeyValueRevisions(store, { clock });
  const reader = new KeyValueRevisions(far, { clock });
  const numbers: number[] = [];
  reader.watch((number) => numbers.push(number));
  writer.watch(() => {});
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  await settled();
  far.away = true;
  await writer.append(revisionOf(1));
  await settled();
  far.away = false;
  clock.advance(500);
  await settled();
  assert.deepEqual(numbers, [1]);
  store.put = async (key, value, expected) => {
    if (key === "revisions/head") throw new WeftError("unavailable", key);
    return put(key, value, expected);
  };
  await writer.append(revisionOf(2));
  await settled();
  assert.deepEqual(numbers, [1]);
  store.put = put;
  clock.advance(500);
  await settled();
  assert.deepEqual(numbers, [1, 2]);
  for (const each of [reader, writer]) await each.close();
});

test("an answer that was lost does not make an append that was made fail", async () => {
  const store = new MemoryKeyValue();
  const put = store.put.bind(store);
  const revisions = new KeyValueRevisions(store);
  store.put = async (key, value, expected) => {
    await put(key, value, expected);
    if (key.startsWith("revisions/entries")) throw new WeftError("unavailable", "lost");
    return null;
  };
  assert.equal(await revisions.append(revisionOf(1)), true);
  assert.equal((await revisions.head())?.author, "ada");
  store.put = async (key) => {
    throw new WeftError("unavailable", key);
  };
  await assert.rejects(revisions.append(revisionOf(2)), { code: "unavailable" });
});

test("revisions share the chunks of what they have in common, and those that nobody needs go", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  const revisions = new KeyValueRevisions(store, { clock });
  const chunks = async () => (await store.keys("revisions/chunks")).length;
  await revisions.append({ ...revisionOf(1), resources: incompressible("a", 900_000) });
  const first = await chunks();
  assert.ok(first >= 3);
  await revisions.append({ ...revisionOf(2), resources: incompressible("a", 900_000), settings: "[2]" });
  assert.equal(await chunks(), first, "the same resources were kept twice");
  await revisions.append({ ...revisionOf(3), resources: incompressible("b", 900_000) });
  await revisions.append({ ...revisionOf(4), resources: incompressible("b", 900_000) });
  const both = await chunks();
  await revisions.retain(2);
  assert.equal(await chunks(), both, "chunks went that an append under way may be about to name");
  clock.advance(61_000);
  await revisions.retain(2);
  assert.ok((await chunks()) < both);
  assert.equal((await revisions.get(3))?.resources, incompressible("b", 900_000));
});

test("a chunk that the store refuses fails the append alone, also while the next text is packed", async () => {
  const store = new MemoryKeyValue();
  const revisions = new KeyValueRevisions(store);
  store.put = async (key) => {
    throw new WeftError("unavailable", key);
  };
  const large = { ...revisionOf(1), resources: incompressible("a", 300_000), settings: incompressible("b", 900_000) };
  await assert.rejects(revisions.append(large), { code: "unavailable" });
});

test("a chunk that was put again after it was found unused stays", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  const revisions = new KeyValueRevisions(store, { clock });
  await revisions.append({ ...revisionOf(1), resources: incompressible("a", 300_000) });
  await revisions.append(revisionOf(2));
  await revisions.retain(1);
  clock.advance(61_000);
  for (const { key, value } of await store.list("revisions/chunks")) await store.put(key, value, ANY);
  await revisions.retain(1);
  assert.ok((await store.keys("revisions/chunks")).length > 0);
  clock.advance(61_000);
  await revisions.retain(1);
  assert.equal((await store.keys("revisions/chunks")).length, 0);
});

test("what was damaged is said to be", async () => {
  const store = new MemoryKeyValue();
  const revisions = new KeyValueRevisions(store);
  await revisions.append(revisionOf(1));
  await store.put("revisions/entries/000000000001", Buffer.from("{}"), ANY);
  await assert.rejects(revisions.get(1), { code: "data_loss", reason: "STORE_UNREADABLE" });
  await store.put("revisions/names", Buffer.from("?"), ANY);
  await assert.rejects(revisions.tags(), { code: "data_loss" });
});

function revisionOf(revision: number): StoredRevision {
  return { revision, author: "ada", reason: "", publishedMs: 1, changes: [], resources: "[]", settings: "{}" };
}

/** JSON that zstd makes little of. */
function incompressible(seed: string, length: number): string {
  let state = seed.charCodeAt(0);
  let text = "";
  while (text.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    text += state.toString(36);
  }
  return JSON.stringify([text.slice(0, length)]);
}
