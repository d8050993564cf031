import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import { MemoryKeyValue } from "../../settings/memory-key-value.ts";
import { Authority } from "./authority.ts";
import { SharedAuthority } from "./shared-authority.ts";

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function opened(
  store: MemoryKeyValue,
  clock: VirtualClock,
  leads: () => boolean,
  operatorToken = "a token of the operator",
) {
  const keeper = new SharedAuthority({ store, system: "shop", operatorToken });
  return Authority.open({ system: "shop", folder: "", keeper, leads, clock, leafLifetimeMs: 60_000 });
}

test("control planes of one store have one authority, however many begin at once", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  const all = await Promise.all([1, 2, 3].map(() => opened(store, clock, () => false)));
  for (const authority of all) assert.equal(authority.trust, all[0].trust);
  const leaf = all[1].issueWithKey("orders");
  assert.deepEqual(all[2].holderOf(new X509Certificate(leaf.certificate), 0), { service: "orders" });
  for (const authority of all) await authority.close();
});

test("a rotation that one begins all follow, and only the one that leads goes on with it", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  let leader = 1;
  const all = await Promise.all([0, 1].map((n) => opened(store, clock, () => n === leader)));
  const states = () => all.map(({ roots }) => roots.map(({ state }) => state).join());
  await all[0].rotate(); // whoever is asked
  await settled();
  assert.deepEqual(states(), ["signing,distributing", "signing,distributing"]);
  leader = 9;
  for (let passed = 0; passed < 70_000; passed += 5_000) {
    clock.advance(5_000);
    await settled();
  }
  assert.deepEqual(states(), ["signing,distributing", "signing,distributing"], "nobody leads");
  leader = 0;
  for (let passed = 0; passed < 200_000; passed += 5_000) {
    clock.advance(5_000);
    await settled();
  }
  assert.deepEqual(states(), ["signing", "signing"]);
  assert.equal(all[0].trust, all[1].trust);
  assert.equal(all[0].chain, all[1].chain);
  for (const authority of all) await authority.close();
});

test("what is in the store is of no use without the operator's token, and who has another one is told so", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  await new SharedAuthority({ store, system: "shop", operatorToken: "the first one's token" }).assertToken();
  await (await opened(store, clock, () => true, "the first one's token")).close();
  for (const { value } of await store.list("authority"))
    assert.doesNotMatch(Buffer.from(value).toString("latin1"), /PRIVATE|BEGIN|MII/);
  const other = new SharedAuthority({ store, system: "shop", operatorToken: "another one's token" });
  const wrong = (error: WeftError) => error.reason === "WRONG_OPERATOR_TOKEN" && error.code === "failed_precondition";
  await assert.rejects(other.assertToken(), wrong);
  await assert.rejects(
    opened(store, clock, () => true, "another one's token"),
    wrong,
  );
  const moved = new SharedAuthority({ store, system: "shop2", operatorToken: "the first one's token" });
  await assert.rejects(moved.assertToken(), wrong, "bound to the system");
});
