import assert from "node:assert/strict";
import { test } from "node:test";
import { descriptorSetOf } from "../../contract/contract-set.ts";
import { Admin } from "../../contract/gen/weft/control/v1/control.ts";
import { newSettingsKey, SettingsKeys } from "../../settings/sealed.ts";
import type { Json } from "../../settings/settings-state.ts";
import { SettingsCheck } from "./settings-check.ts";

const keys = new SettingsKeys(newSettingsKey("k"), "test");
const sealed = (key: string, value: string | number) => keys.seal("shop", key, value);

test("what a schema says of a sealed value shows nothing of it, whatever its key is called", () => {
  const check = new SettingsCheck({ all: () => [] }, keys);
  const values = { "db.pin": sealed("db.pin", 1234), db: { pin: 77 }, dbs: 1234 };
  for (const schema of [
    { properties: { "db.pin": { maximum: 5 } } },
    { properties: { "db.pin": { multipleOf: 7 } } },
    { patternProperties: { "^db\\.": { type: "string" } } },
  ] as Json[])
    assert.deepEqual(check.problems("shop", values, { kind: "json", schema }), [
      "db.pin: its sealed value does not fit the schema",
    ]);
  assert.match(
    check.problems("shop", values, { kind: "json", schema: { properties: { dbs: { maximum: 5 } } } }).join(),
    /1234/,
    "others are shown",
  );
});

test("what a protobuf message says of a sealed value shows nothing of it", () => {
  const descriptors = descriptorSetOf([Admin]);
  const contract = { service: "admin", contracts: [Admin.typeName], digest: "", descriptors, methods: [] };
  const check = new SettingsCheck({ all: () => [contract] as never }, keys);
  const schema = { kind: "proto", message: "weft.control.v1.GetRevisionRequest" } as const;
  const values = { revision: sealed("revision", "hunter2"), tag: "v1" };
  assert.deepEqual(check.problems("shop", values, schema), [
    `revision: its sealed value does not fit the message ${schema.message}`,
  ]);
  assert.deepEqual(check.problems("shop", { revision: sealed("revision", "5"), tag: "v1" }, schema), []);
  assert.match(check.problems("shop", { ...values, tag: 5 }, schema).join(), /^tag: /);
});
