import assert from "node:assert/strict";
import { test } from "node:test";
import { descriptorSetOf } from "../contract/contract-set.ts";
import { Health } from "../contract/gen/grpc/health/v1/health.ts";
import { Admin, Control } from "../contract/gen/weft/control/v1/control.ts";
import { MemoryKeyValue } from "../settings/memory-key-value.ts";
import { ContractStore } from "./contract-store.ts";

const HEALTH = descriptorSetOf([Health]);
const BOTH = descriptorSetOf([Control, Admin]);
const EMPTY = new Uint8Array(0);

function registration(endpointId: string, contracts: string[], descriptors: Uint8Array, digest = "") {
  return { service: "shop", endpointId, contracts, descriptors, digest };
}

test("a contract is checked, listed by its name, and known by its digest from then on", async () => {
  const store = await ContractStore.open(new MemoryKeyValue());
  const heard: (readonly string[])[] = [];
  store.onChange(({ contracts }) => heard.push(contracts));
  await store.add(registration("a", ["grpc.health.v1.Health"], HEALTH));
  const stored = store.get("shop");
  assert.ok(stored?.methods.methods?.some(({ path }) => path === "/grpc.health.v1.Health/Check"));
  assert.deepEqual(store.servicesOf("grpc.health.v1.Health"), ["shop"]);
  await store.add(registration("b", ["grpc.health.v1.Health"], EMPTY, stored?.digest));
  assert.equal(heard.length, 1, "the same contract again is no change");
  await assert.rejects(store.add(registration("a", ["x.Y"], EMPTY, "00")), { reason: "DESCRIPTORS_NEEDED" });
  await assert.rejects(store.add(registration("a", ["x.Y"], HEALTH)), {
    code: "invalid_argument",
    reason: "BAD_DESCRIPTORS",
  });
  await assert.rejects(store.add(registration("a", ["x.Y"], Uint8Array.of(255, 255))), { reason: "BAD_DESCRIPTORS" });
  await assert.rejects(store.add(registration("a", ["x.Y"], HEALTH, "00")), { reason: "DIGEST_MISMATCH" });
});

test("during a release the newest contract counts, and the old one again when the new instances are gone", async () => {
  const store = await ContractStore.open(new MemoryKeyValue());
  const current = () => store.get("shop")?.contracts.length;
  await store.add(registration("old-1", ["weft.control.v1.Admin"], BOTH));
  await store.add(registration("new-1", ["weft.control.v1.Admin", "weft.control.v1.Control"], BOTH));
  assert.equal(current(), 2);
  await store.add(registration("old-2", ["weft.control.v1.Admin"], BOTH));
  assert.equal(current(), 2, "an old instance that starts late takes no methods away");
  store.remove("shop", "new-1");
  assert.equal(current(), 1);
  store.remove("shop", "old-1");
  store.remove("shop", "old-2");
  assert.equal(current(), 1, "without any instance the last contract stays");
});

test("contracts are there after a restart", async () => {
  const kept = new MemoryKeyValue();
  const first = await ContractStore.open(kept);
  await first.add(registration("a", ["grpc.health.v1.Health"], HEALTH));
  await first.close();
  const store = await ContractStore.open(kept);
  assert.deepEqual(store.get("shop")?.contracts, ["grpc.health.v1.Health"]);
  assert.deepEqual(store.get("shop")?.descriptors, HEALTH);
  await store.add(registration("a", ["grpc.health.v1.Health"], EMPTY, store.get("shop")?.digest));
  await store.forget("shop");
  assert.equal((await ContractStore.open(kept)).get("shop"), undefined);
  assert.deepEqual(await kept.keys("contracts/descriptors"), []);
});

test("what one control plane learns the others know; during a release the newest counts everywhere, for as long as somebody uses it", async () => {
  const kept = new MemoryKeyValue();
  const [one, two] = [await ContractStore.open(kept), await ContractStore.open(kept)];
  const counts = () => [one, two].map((store) => store.get("shop")?.contracts.length);
  await one.add(registration("old-1", ["weft.control.v1.Admin"], BOTH));
  await eventually(() => counts().join() === "1,1", "the first contract");
  await two.add(registration("new-1", ["weft.control.v1.Admin", "weft.control.v1.Control"], BOTH));
  await eventually(() => counts().join() === "2,2", "the new one at both");
  await one.add(registration("old-2", ["weft.control.v1.Admin"], BOTH));
  await two.add(registration("old-3", ["weft.control.v1.Admin"], EMPTY, two.get("shop")?.digest));
  await quiet();
  assert.deepEqual(counts(), [2, 2], "an old instance that starts late takes no methods away");
  await one.add(registration("new-2", ["weft.control.v1.Admin", "weft.control.v1.Control"], BOTH));
  two.remove("shop", "new-1");
  // It counts no more at the one until the other says that it is used there.
  await eventually(() => counts().join() === "2,2", "an instance of the new one is left at the other");
  one.remove("shop", "new-2");
  await eventually(() => counts().join() === "1,1", "the old one again");
  await one.close();
  await two.close();
});

async function eventually(holds: () => boolean, what: string): Promise<void> {
  const began = performance.now();
  while (!holds() && performance.now() - began < 10_000) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(holds(), `waited in vain for ${what}`);
}

/** Everything that was to be told has been. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
}
