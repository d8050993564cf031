import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { keyValueCases } from "../../settings/key-value.case.ts";
import { ABSENT, ANY } from "../../settings/key-value.ts";
import { KeyValueRevisions } from "../../settings/key-value-revisions.ts";
import { revisionStoreCases } from "../../settings/revision-store.case.ts";
import { openSqliteKeyValue } from "./sqlite-key-value.ts";

const folders = mkdtempSync(join(tmpdir(), "weft-key-values-"));
const opened: { close(): Promise<void> }[] = [];
let files = 0;
const newFile = () => join(folders, `${files++}.db`);
after(async () => {
  for (const store of opened) await store.close();
  rmSync(folders, { recursive: true });
});

keyValueCases("sqlite", async () => {
  const file = newFile();
  return { open: () => openSqliteKeyValue({ file }) };
});

revisionStoreCases("revisions in sqlite", async () => {
  const store = await openSqliteKeyValue({ file: newFile() });
  opened.push(store);
  // One process alone has it; in that two may use it.
  const open = async () => new KeyValueRevisions(store);
  return { open, openAnother: open };
});

test("sqlite: all is there after it is opened again, and no version comes back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-key-value-"));
  const file = join(folder, "store.db");
  const first = await openSqliteKeyValue({ file });
  const version = (await first.put("a/b", Buffer.from("1"), ABSENT)) ?? "";
  const gone = (await first.put("a/gone", Buffer.from("1"), ABSENT)) ?? "";
  await first.delete("a/gone", gone);
  await first.close();
  const second = await openSqliteKeyValue({ file });
  assert.equal((await second.get("a/b"))?.version, version);
  assert.notEqual(await second.put("a/gone", Buffer.from("1"), ABSENT), gone);
  assert.notEqual(await second.put("a/b", Buffer.from("1"), ANY), version);
  await assert.rejects(openSqliteKeyValue({ file }), { reason: "DATABASE_IN_USE" });
  await second.close();
  rmSync(folder, { recursive: true });
});
