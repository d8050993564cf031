import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { FarKeyValue } from "../settings/far-key-value.case.ts";
import { KeyValueRevisions } from "../settings/key-value-revisions.ts";
import { MemoryKeyValue } from "../settings/memory-key-value.ts";
import type { SettingsState } from "../settings/settings-state.ts";
import { Ledger } from "./ledger.ts";
import type { LedgerRevision } from "./ledger-revision.ts";
import type { CheckedResources } from "./publication.ts";

/** Everything that is JSON is good. */
function check(text: string): CheckedResources {
  if (text === "bad") throw new WeftError("invalid_argument", "not good", { reason: "INVALID_RESOURCES" });
  const resources = JSON.parse(text) as Resource[];
  return {
    resources,
    texts: resources.map((one) => JSON.stringify(one)),
    warnings: text === "[]" ? [] : ["look again"],
  };
}

const by = { source: "test", author: "ada", reason: "try" };

test("revisions count up, and listeners hear of each when it is durable", async () => {
  const revisions = new KeyValueRevisions(new MemoryKeyValue());
  const ledger = await Ledger.open({ revisions, check, clock: new VirtualClock(1_000) });
  assert.equal(ledger.current.revision, 0);
  const heard: LedgerRevision[] = [];
  ledger.onChange((revision) => heard.push(revision));
  const first = await ledger.publish({ ...by, text: "[1]" });
  assert.deepEqual(first.warnings, ["look again"]);
  assert.deepEqual(
    [first.revision, first.author, first.reason, first.publishedMs, first.resources],
    [1, "ada", "try", 1_000, "[1]"],
  );
  const [second, third] = await Promise.all([
    ledger.publish({ ...by, text: "[2]" }),
    ledger.publish({ ...by, text: "[3]" }),
  ]);
  assert.deepEqual([second.revision, third.revision], [2, 3]);
  assert.equal((await ledger.publish({ ...by, text: "[3]" })).revision, 3, "the same again is no new revision");
  assert.deepEqual(
    heard.map(({ revision }) => revision),
    [1, 2, 3],
  );
  assert.deepEqual(
    (await ledger.list(2, 100)).map(({ revision }) => revision),
    [3, 2],
  );
  assert.equal((await ledger.get(2)).resources, "[2]");
  await assert.rejects(ledger.get(9), { code: "not_found", reason: "UNKNOWN_REVISION" });
  await ledger.close();
});

test("what is wrong, stale or only to be validated is not published", async () => {
  const revisions = new KeyValueRevisions(new MemoryKeyValue());
  const ledger = await Ledger.open({ revisions, check, clock: new VirtualClock() });
  await ledger.publish({ ...by, text: "[1]" });
  await assert.rejects(ledger.publish({ ...by, text: "bad" }), { reason: "INVALID_RESOURCES" });
  await assert.rejects(ledger.publish({ ...by, text: "[2]", expected: 0 }), {
    code: "aborted",
    reason: "STALE_REVISION",
  });
  assert.equal((await ledger.publish({ ...by, text: "[2]", validateOnly: true })).revision, 1);
  await assert.rejects(ledger.publish({ ...by, text: "[2]", author: "x".repeat(1_001) }), {
    place: { field: "author" },
  });
  assert.equal(ledger.current.revision, 1);
  assert.equal((await ledger.publish({ ...by, text: "[2]", expected: 1 })).revision, 2);
  await ledger.close();
});

test("a roll-back is a new revision that holds what the old one held; all of it is there after a restart", async () => {
  const store = new MemoryKeyValue();
  const ledger = await openLedger(store);
  await ledger.publish({ ...by, text: "[1]" });
  await ledger.change(by, set("shop", "limit", 5));
  await ledger.publish({ ...by, text: "[2]" });
  await ledger.change(by, set("shop", "limit", 6));
  const back = await ledger.rollback(2, "bob", "");
  assert.deepEqual([back.revision, back.resources, back.reason], [5, "[1]", "rollback to revision 2"]);
  assert.deepEqual(
    { ...back.settings.namespaces.shop.values.limit },
    { value: 5, revision: 5, author: "bob", atMs: new VirtualClock().wallMs() },
  );
  assert.deepEqual(back.changes, ["resource ", "settings shop/limit"]);
  assert.equal((await ledger.rollback(5, "bob", "")).revision, 5, "what is current already is no new revision");
  await ledger.close();
  const again = await openLedger(store);
  const { warnings: _, ...last } = back;
  assert.deepEqual(again.current, last);
  assert.equal((await again.list(10, 100)).length, 5);
  assert.equal(again.resources.texts.length, 1);
  await again.close();
});

test("a roll-back is checked again, and can be looked at before it is made", async () => {
  const store = new MemoryKeyValue();
  const ledger = await openLedger(store);
  await ledger.publish({ ...by, text: "[1]" });
  await ledger.publish({ ...by, text: "[2]" });
  assert.equal((await ledger.rollback(1, "bob", "", { validateOnly: true })).resources, "[1]");
  assert.equal(ledger.current.revision, 2);
  await assert.rejects(ledger.rollback(1, "bob", "", { expected: 1 }), { reason: "STALE_REVISION" });
  await ledger.close();
  const refusing = (): CheckedResources => {
    throw new WeftError("invalid_argument", "not any more", { reason: "INVALID_RESOURCES" });
  };
  const strict = await Ledger.open({
    revisions: new KeyValueRevisions(store),
    check: refusing,
    clock: new VirtualClock(),
  });
  await assert.rejects(strict.rollback(1, "bob", ""), { reason: "INVALID_RESOURCES" });
  assert.equal(strict.current.revision, 2);
  await strict.close();
});

test("settings and resources share one line of revisions, and each keeps what the other has", async () => {
  const ledger = await openLedger();
  await ledger.publish({ ...by, text: "[1]" });
  const changed = await ledger.change(by, set("shop", "limit", 5));
  assert.deepEqual([changed.revision, changed.resources, changed.changes], [2, "[1]", ["settings shop/limit"]]);
  const published = await ledger.publish({ ...by, text: "[2]" });
  assert.deepEqual(Object.keys(published.settings.namespaces), ["shop"]);
  assert.equal((await ledger.change(by, (settings) => settings)).revision, 3, "no change is no new revision");
  assert.equal((await ledger.change({ ...by, validateOnly: true }, set("shop", "limit", 9))).revision, 3);
  await assert.rejects(ledger.change({ ...by, expected: 2 }, set("shop", "limit", 9)), { reason: "STALE_REVISION" });
  await assert.rejects(ledger.change(by, set("shop", "bad", 1)), { reason: "INVALID_SETTINGS" });
  await assert.rejects(
    ledger.change(by, () => {
      throw new WeftError("aborted", "no", { reason: "STALE_VALUE" });
    }),
    { reason: "STALE_VALUE" },
  );
  assert.equal(ledger.current.revision, 3);
  await ledger.close();
});

test("control planes that share a store publish in one line, and hear of each other's", async () => {
  const store = new MemoryKeyValue();
  const [one, two] = [await openLedger(store), await openLedger(store)];
  const heard: number[] = [];
  two.onChange(({ revision }) => heard.push(revision));
  await one.publish({ ...by, text: "[1]" });
  await eventually(() => two.current.revision === 1, "the first revision");
  assert.equal(two.current.resources, "[1]");
  const ledgers = [one, two];
  await Promise.all(Array.from({ length: 10 }, (_, i) => ledgers[i % 2].change(by, set("shop", `key-${i}`, i))));
  await eventually(() => one.current.revision === 11 && two.current.revision === 11, "all revisions");
  assert.deepEqual(one.current, two.current);
  assert.equal(Object.keys(one.current.settings.namespaces.shop.values).length, 10, "a change was lost");
  assert.deepEqual(
    heard,
    heard.toSorted((a, b) => a - b),
  );
  const raced = await Promise.allSettled(
    ledgers.map((ledger, i) => ledger.publish({ ...by, text: `[${i + 5}]`, expected: 11 })),
  );
  assert.deepEqual(raced.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  await one.close();
  await two.close();
});

test("a revision is found by its time and by its tag", async () => {
  const clock = new VirtualClock(1_000);
  const ledger = await openLedger(new MemoryKeyValue(), clock);
  await assert.rejects(ledger.at(5_000), { reason: "UNKNOWN_REVISION" });
  for (let i = 1; i <= 3; i++) {
    await ledger.publish({ ...by, text: `[${i}]` });
    clock.advance(1_000);
  }
  assert.equal((await ledger.at(1_000)).revision, 1);
  assert.equal((await ledger.at(2_999)).revision, 2);
  assert.equal((await ledger.at(99_999)).revision, 3);
  await assert.rejects(ledger.at(999), { reason: "UNKNOWN_REVISION" });
  await ledger.tag("stable", 2);
  await ledger.tag("good", 2);
  assert.equal((await ledger.tagged("stable")).resources, "[2]");
  assert.deepEqual([...(await ledger.tags())], [[2, ["good", "stable"]]]);
  await assert.rejects(ledger.tagged("nope"), { reason: "UNKNOWN_TAG" });
  assert.equal(await ledger.retain(1), 1);
  await assert.rejects(ledger.get(1), { reason: "UNKNOWN_REVISION" });
  await ledger.close();
});

test("a store that lost everything gets what is in force put back", async () => {
  const store = new MemoryKeyValue();
  const told: string[] = [];
  const revisions = new KeyValueRevisions(store);
  const clock = new VirtualClock();
  const ledger = await Ledger.open({ revisions, check, clock, onEvent: (line) => told.push(line) });
  await ledger.publish({ ...by, text: "[1]" });
  await ledger.publish({ ...by, text: "[2]" });
  for (const key of await store.keys("revisions")) await store.delete(key, "any");
  await eventually(() => ledger.current.revision === 1, "what is put back");
  assert.equal(ledger.current.resources, "[2]");
  const after = await ledger.change(by, set("shop", "limit", 5));
  assert.deepEqual([after.revision, after.resources], [2, "[2]"]);
  assert.match(told.join(), /lost all revisions/);
  await ledger.close();
});

test("who saw nothing of a loss knows the new line of what another one put back, also where that is alike", async () => {
  const store = new MemoryKeyValue();
  const far = new FarKeyValue(store);
  const clock = new VirtualClock();
  const one = await openLedger(store);
  await one.publish({ ...by, text: "[1]" });
  const two = await Ledger.open({ revisions: new KeyValueRevisions(far, { clock }), check, clock });
  const before = one.line;
  assert.deepEqual([two.line, two.current.revision], [before, 1]);
  await eventually(() => Buffer.from(two.encoded).includes(before), "the line in what data planes get");
  far.away = true;
  for (const key of await store.keys("revisions")) await store.delete(key, "any");
  await eventually(() => one.line !== before, "what is put back");
  far.away = false;
  await eventually(() => {
    clock.advance(500);
    return two.line === one.line;
  }, "the new line");
  assert.ok(Buffer.from(two.encoded).includes(one.line));
  await one.close();
  await two.close();
});

test("what could not be read when the store told of it is read a moment later", async () => {
  const store = new MemoryKeyValue();
  const revisions = new KeyValueRevisions(store);
  const other = await openLedger(store);
  const clock = new VirtualClock();
  const told: string[] = [];
  const ledger = await Ledger.open({ revisions, check, clock, onEvent: (line) => told.push(line) });
  const newest = mock.method(revisions, "newest", () => Promise.reject(new WeftError("unavailable", "away")));
  await other.publish({ ...by, text: "[1]" });
  await eventually(() => told.length > 0, "what cannot be read");
  for (let tries = 0; tries < 3; tries++) {
    const asked = newest.mock.callCount();
    clock.advance(2_000);
    await eventually(() => newest.mock.callCount() > asked, "another look");
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(ledger.current.revision, 0);
  assert.deepEqual(told, ["revision 1 cannot be read: away"]);
  newest.mock.restore();
  clock.advance(2_000);
  await eventually(() => ledger.current.revision === 1, "the revision");
  await ledger.close();
  await other.close();
});

async function openLedger(store = new MemoryKeyValue(), clock = new VirtualClock()): Promise<Ledger> {
  const checkSettings = (settings: SettingsState): string[] => {
    if (settings.namespaces.shop?.values.bad !== undefined)
      throw new WeftError("invalid_argument", "not good", { reason: "INVALID_SETTINGS" });
    return [];
  };
  return Ledger.open({ revisions: new KeyValueRevisions(store), check, checkSettings, clock });
}

function set(namespace: string, key: string, value: number) {
  return ({ namespaces }: SettingsState, revision: number): SettingsState => {
    const before = namespaces[namespace] ?? { values: {}, schema: null, grays: [], revision };
    const values = { ...before.values, [key]: { value, revision, author: "ada", atMs: 1 } };
    return { namespaces: { ...namespaces, [namespace]: { ...before, values, revision } } };
  };
}

async function eventually(holds: () => boolean, what: string): Promise<void> {
  const began = performance.now();
  while (!holds() && performance.now() - began < 10_000) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(holds(), `waited in vain for ${what}`);
}
