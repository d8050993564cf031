import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../core/errors.ts";
import { isSealed, valueProblem } from "./json-value.ts";
import { keyIdOf, newSettingsKey, readSettingsKeys, SettingsKeys } from "./sealed.ts";

const keys = (...ids: string[]) => new SettingsKeys(ids.map((id) => made(id)).join(","), "test");
const known = new Map<string, string>();
const made = (id: string): string => {
  const text = known.get(id) ?? newSettingsKey(id);
  known.set(id, text);
  return text;
};
const reason = (body: () => unknown): string => {
  try {
    body();
    return "";
  } catch (thrown) {
    assert.ok(thrown instanceof WeftError);
    return thrown.reason;
  }
};

test("what is sealed comes back, and shows nothing of itself", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const plain = JSON.parse(JSON.stringify(value));
      const sealed = keys("k1").seal("orders", "apiKey", plain);
      assert.ok(isSealed(sealed) && valueProblem(sealed, 64) === "" && keyIdOf(sealed) === "k1");
      assert.deepEqual(keys("k1").unseal("orders", "apiKey", sealed), plain);
    }),
    { numRuns: 30 },
  );
});

test("a sealed value is bound to its place and cannot be changed", () => {
  const sealed = keys("k1").seal("orders", "apiKey", "secret");
  assert.equal(
    reason(() => keys("k1").unseal("orders", "other", sealed)),
    "CANNOT_UNSEAL",
  );
  assert.equal(
    reason(() => keys("k1").unseal("payments", "apiKey", sealed)),
    "CANNOT_UNSEAL",
  );
  const [id, nonce, text] = sealed.$sealed.split(".");
  const flipped = `${text.startsWith("A") ? "B" : "A"}${text.slice(1)}`;
  assert.equal(
    reason(() => keys("k1").unseal("orders", "apiKey", { $sealed: `${id}.${nonce}.${flipped}` })),
    "CANNOT_UNSEAL",
  );
  assert.equal(
    reason(() => keys("k1").unseal("orders", "apiKey", { $sealed: "k1.." })),
    "CANNOT_UNSEAL",
  );
});

test("the first key seals, each of them unseals: keys are rotated by putting a new one in front", () => {
  const old = keys("k1").seal("orders", "apiKey", "secret");
  const both = keys("k2", "k1");
  assert.equal(both.unseal("orders", "apiKey", old), "secret");
  assert.equal(keyIdOf(both.seal("orders", "apiKey", "secret")), "k2");
  assert.equal(
    reason(() => keys("k2").unseal("orders", "apiKey", old)),
    "CANNOT_UNSEAL",
  );
});

test("keys come from the environment or from a file that nobody else may read, and never stand in an error", () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-keys-"));
  try {
    const file = join(folder, "keys");
    writeFileSync(file, `# newest first\n${made("k2")}\n${made("k1")}\n`, { mode: 0o600 });
    assert.equal(readSettingsKeys({ WEFT_SETTINGS_KEYS_FILE: file })?.first, "k2");
    chmodSync(file, 0o640);
    assert.throws(() => readSettingsKeys({ WEFT_SETTINGS_KEYS_FILE: file }), /others can read or write .*chmod 600/);
    assert.equal(readSettingsKeys({ WEFT_SETTINGS_KEYS: made("k1") })?.first, "k1");
    assert.equal(readSettingsKeys({}), null);
    const half = made("k1").slice(0, -8);
    assert.throws(
      () => readSettingsKeys({ WEFT_SETTINGS_KEYS: half }),
      (thrown: WeftError) => thrown.reason === "BAD_SETTINGS_KEYS" && !thrown.message.includes(half.slice(3, 20)),
    );
    assert.equal(
      reason(() => new SettingsKeys(`${made("k1")},${made("k1")}`, "x")),
      "BAD_SETTINGS_KEYS",
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
