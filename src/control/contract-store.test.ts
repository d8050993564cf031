import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { descriptorSetOf } from "../contract/contract-set.ts";
import { Health } from "../contract/gen/grpc/health/v1/health.ts";
import { Admin, Control } from "../contract/gen/weft/control/v1/control.ts";
import { ContractStore } from "./contract-store.ts";
import { openControlDatabase } from "./control-database.ts";

const HEALTH = descriptorSetOf([Health]);
const BOTH = descriptorSetOf([Control, Admin]);
const EMPTY = new Uint8Array(0);

function registration(endpointId: string, contracts: string[], descriptors: Uint8Array, digest = "") {
  return { service: "shop", endpointId, contracts, descriptors, digest };
}

test("a contract is checked, listed by its name, and known by its digest from then on", async () => {
  const database = await openControlDatabase("");
  const store = await ContractStore.open(database);
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
  await database.close();
});

test("during a release the newest contract counts, and the old one again when the new instances are gone", async () => {
  const database = await openControlDatabase("");
  const store = await ContractStore.open(database);
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
  await database.close();
});

test("contracts are there after a restart", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-contracts-"));
  const database = await openControlDatabase(folder);
  await (await ContractStore.open(database)).add(registration("a", ["grpc.health.v1.Health"], HEALTH));
  await database.close();
  const reopened = await openControlDatabase(folder);
  const store = await ContractStore.open(reopened);
  assert.deepEqual(store.get("shop")?.contracts, ["grpc.health.v1.Health"]);
  assert.deepEqual(store.get("shop")?.descriptors, HEALTH);
  await store.add(registration("a", ["grpc.health.v1.Health"], EMPTY, store.get("shop")?.digest));
  await reopened.close();
  rmSync(folder, { recursive: true });
});
