import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { MemoryKeyValue } from "../../settings/memory-key-value.ts";
import { AuditLog } from "./audit-log.ts";
import { aboutOf } from "./audited.ts";

const audited = { who: "anyone", address: "10.0.0.7:5000", action: "Admin/PublishRevision", about: "", revision: 0 };
const refusal = new WeftError("unauthenticated", "no", { reason: "NOT_OPERATOR" });
const turns = async (): Promise<void> => {
  for (let i = 0; i < 500; i++) await Promise.resolve();
};

test("whoever is refused from many addresses drives nothing out that was done, and one network of IPv6 is one", async () => {
  const clock = new VirtualClock();
  const store = new MemoryKeyValue();
  const log = new AuditLog({ store, clock });
  await log.change({ ...audited, who: "operator" }, async () => {});
  for (let i = 0; i < 300; i++) log.refused({ ...audited, address: `[2001:db8::${i.toString(16)}]:80` }, refusal);
  for (let round = 0; round < 30; round++) {
    for (let i = 0; i < 1_200; i++)
      log.refused({ ...audited, address: `10.${round}.${i >> 8}.${i & 255}:80` }, refusal);
    await turns();
    clock.advance(11_000);
    await turns();
  }
  const entries = await log.list(100_000, "");
  assert.equal(entries.filter(({ outcome }) => outcome === "done").length, 1, "it is there still");
  const ofNetwork = entries.filter(({ address }) => address.startsWith("[2001:"));
  assert.deepEqual(new Set(ofNetwork.map(({ times }) => times)), new Set(ofNetwork.length === 0 ? [] : [1, 299]));
  assert.ok(
    entries.some(({ who, times }) => who === "others" && times >= 200),
    "those above the limit are counted",
  );
  assert.ok(entries.length <= 20_400, `${entries.length}`);
});

test("many changes at once are all written down", async () => {
  const log = new AuditLog({ store: new MemoryKeyValue(), clock: new VirtualClock() });
  await Promise.all(
    Array.from({ length: 1_000 }, (_, i) =>
      log.change(
        audited,
        async () => i,
        (made) => made,
      ),
    ),
  );
  assert.equal((await log.list(10_000, "")).length, 1_000);
});

test("a token that somebody gives for its id is not written down", () => {
  const token = `weft-admin-0123456789ab.${"s".repeat(43)}`;
  assert.equal(aboutOf({ id: token }), "id weft-admin-0123456789ab...");
  assert.equal(aboutOf({ endpoint: { id: "web-1", service: "web", host: "h" }, ttlMs: 0 }), "service web, id web-1");
  assert.equal(aboutOf({ reason: "a\nb\u001b[2J" }), "reason a?b?[2J");
});

/** Takes what is put there, or not, or not yet. */
class Store extends MemoryKeyValue {
  answer: "yes" | "no" | "later" = "yes";
  #late: (() => void)[] = [];

  override async put(...asked: Parameters<MemoryKeyValue["put"]>): Promise<string | null> {
    if (this.answer === "no") throw new WeftError("unavailable", "the store is away");
    if (this.answer === "later") await new Promise<void>((resolve) => this.#late.push(resolve));
    return super.put(...asked);
  }

  back(): void {
    this.answer = "yes";
    for (const go of this.#late.splice(0)) go();
  }
}

test("a change that its control plane does not live to tell of has an entry all the same", async () => {
  const clock = new VirtualClock();
  const store = new Store();
  const died = new AuditLog({ store, clock });
  void died.change(audited, () => {
    store.answer = "no";
    return new Promise(() => {});
  });
  await turns();
  const another = new AuditLog({ store, clock });
  assert.deepEqual(await another.list(10, ""), [], "it may be under way");
  clock.advance(6_000);
  assert.deepEqual(
    (await another.list(10, "")).map(({ action, outcome }) => [action, outcome]),
    [["Admin/PublishRevision", "begun"]],
  );
});

test("nothing is changed that cannot be written down, now or in time, and whoever asked is told", async () => {
  for (const answer of ["no", "later"] as const) {
    const clock = new VirtualClock();
    const store = new Store();
    const log = new AuditLog({ store, clock });
    store.answer = answer;
    const asked = log.change(audited, async () => assert.fail("it was changed"));
    const told = assert.rejects(asked, { code: "unavailable", reason: "AUDIT_AWAY", retryable: true });
    await turns();
    clock.advance(3_000);
    await told;
    store.back();
    await turns();
    clock.advance(6_000);
    assert.deepEqual(await log.list(10, ""), [], "nor does it stand there afterwards");
    assert.equal(await log.change(audited, async () => 7), 7);
  }
});

test("what came of a change takes the place of its beginning, and what failed is among the refused", async () => {
  const clock = new VirtualClock();
  const log = new AuditLog({ store: new MemoryKeyValue(), clock });
  await log.change(
    audited,
    async () => 5,
    (made) => made,
  );
  await assert.rejects(log.change(audited, () => Promise.reject(refusal)));
  await turns();
  clock.advance(60_000);
  assert.deepEqual(
    (await log.list(10, "")).map(({ outcome, revision }) => [outcome, revision]),
    [
      ["done", 5],
      ["unauthenticated NOT_OPERATOR", 0],
    ],
  );
});
