import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SettingsFile } from "./settings-file.ts";
import type { KnownSettings } from "./settings-line.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-settings-file-"));
after(() => rmSync(folder, { recursive: true }));
const stateFile = join(folder, "orders.json");
const errors: Error[] = [];
const open = (instance: string): SettingsFile => new SettingsFile(stateFile, instance, (error) => errors.push(error));
const known = (revision: number, maxItems: number, ...grays: string[]): KnownSettings => ({
  revision,
  values: { maxItems },
  grays,
});

test("each instance finds what it had, and a new one what others had without a gray release", async () => {
  const [one, two] = [open("orders-1"), open("orders-2")];
  one.put("orders", known(1, 1));
  one.put("orders", known(3, 3));
  two.put("orders", known(4, 4, "g-4"));
  two.put("shared", known(2, 2));
  await Promise.all([one.written, two.written]);
  assert.deepEqual(await open("orders-1").get("orders"), known(3, 3));
  assert.deepEqual(await open("orders-2").get("orders"), known(4, 4, "g-4"));
  const fresh = open("orders-3");
  assert.deepEqual([await fresh.get("orders"), await fresh.get("shared")], [known(3, 3), known(2, 2)]);
  assert.equal(await fresh.get("other"), null);
  const names = readdirSync(folder);
  assert.deepEqual(names.sort(), ["orders.json.orders-1.settings.json", "orders.json.orders-2.settings.json"]);
  for (const name of names) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
  assert.deepEqual(errors, []);
});

test("a file that cannot be understood is as good as none, and one that cannot be written is told of", async () => {
  writeFileSync(
    join(folder, "orders.json.orders-9.settings.json"),
    '{"format":1,"namespaces":{"orders":{"revision":"x"}}}',
  );
  assert.equal(await open("orders-9").get("orders"), null);
  const nowhere = new SettingsFile(join(folder, "orders.json.orders-9.settings.json", "a.json"), "a", (error) =>
    errors.push(error),
  );
  nowhere.put("orders", known(1, 1));
  await nowhere.written;
  assert.match(errors[0].message, /the settings cannot be saved in /);
});
