import assert from "node:assert/strict";
import test from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { MemoryKeyValue } from "../../settings/memory-key-value.ts";
import { PeerDirectory } from "./peer-directory.ts";

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("control planes find each other, forget one that says nothing more, and know at once of one that goes", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  // Each has a clock that can be stopped, as if its process were paused.
  const stopped = new VirtualClock();
  const all = ["a", "b", "c"].map(
    (id, n) =>
      new PeerDirectory({
        store,
        clock: id === "c" ? stopped : clock,
        id,
        self: () => ({ address: `10.0.0.${n}:7070`, enforcing: [] }),
      }),
  );
  for (const directory of all) await directory.open();
  const pass = async (ms: number, both = true) => {
    for (let passed = 0; passed < ms; passed += 500) {
      clock.advance(500);
      if (both) stopped.advance(500);
      await settled();
    }
  };
  const ids = (n: number) => all[n].others.map(({ id }) => id).join();
  await pass(2_500);
  assert.deepEqual([ids(0), ids(1), ids(2)], ["b,c", "a,c", "a,b"]);
  assert.equal(all[0].others[0].address, "10.0.0.1:7070");
  await pass(6_000, false);
  assert.equal(ids(0), "b,c");
  await pass(4_000, false);
  assert.equal(ids(0), "b");
  await pass(4_000);
  assert.equal(ids(0), "b,c", "it goes on");
  await all[1].close();
  await pass(2_500);
  assert.equal(ids(0), "c");
  await pass(90_000, false);
  assert.deepEqual(await store.keys("planes"), ["planes/a"], "what stands still is taken away");
  await all[0].close();
  await all[2].close();
});

test("what others wrote there and cannot be used is left alone", async () => {
  const store = new MemoryKeyValue();
  await store.put("planes/x", Buffer.from("nonsense"), "any");
  await store.put("planes/y", Buffer.from('{"address":"nowhere"}'), "any");
  const directory = new PeerDirectory({
    store,
    clock: new VirtualClock(),
    id: "a",
    self: () => ({ address: "h:1", enforcing: [] }),
  });
  await directory.open();
  assert.deepEqual(directory.others, []);
  await directory.close();
});
