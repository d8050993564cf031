import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keyValueCases } from "../../settings/key-value.case.ts";
import { ABSENT, ANY } from "../../settings/key-value.ts";
import { openSqliteKeyValue } from "./sqlite-key-value.ts";

keyValueCases("sqlite", async () => ({ open: () => openSqliteKeyValue({ file: ":memory:" }) }));

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
