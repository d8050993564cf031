import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WeftError } from "../errors.ts";
import { openSqliteThread } from "./sqlite-thread.ts";

const TABLE = "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT";

function temporary(): { file: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "weft-sqlite-"));
  return { file: join(folder, "test.db"), remove: () => rmSync(folder, { recursive: true }) };
}

test("what was written is there after it is opened again, in the order of the calls", async () => {
  const { file, remove } = temporary();
  const first = await openSqliteThread({ file, migrations: [TABLE] });
  const writes = Array.from({ length: 500 }, (_, i) =>
    first.write([{ sql: "INSERT INTO thing (id, name) VALUES (?, ?)", parameters: [i, `n${i}`] }]),
  );
  assert.equal((await first.read("SELECT count(*) AS n FROM thing"))[0].n, 500, "a read sees the writes before it");
  await Promise.all(writes);
  await first.close();
  const second = await openSqliteThread({ file, migrations: [TABLE, "ALTER TABLE thing ADD COLUMN size INTEGER"] });
  const rows = await second.read("SELECT id, name, size FROM thing WHERE id > ? ORDER BY id LIMIT 1", [41]);
  assert.deepEqual({ ...rows[0] }, { id: 42, name: "n42", size: null });
  await second.close();
  remove();
});

test("a write that fails takes no other of its group with it, and leaves nothing of itself", async () => {
  const database = await openSqliteThread({ file: ":memory:", migrations: [TABLE] });
  const insert = (id: number, name: string | null) => ({
    sql: "INSERT INTO thing VALUES (?, ?)",
    parameters: [id, name],
  });
  const outcomes = await Promise.allSettled([
    database.write([insert(1, "a")]),
    database.write([insert(2, "b"), insert(3, null)]),
    database.write([
      {
        sql: "INSERT INTO thing VALUES (?, ?)",
        rows: [
          [4, "d"],
          [5, "e"],
        ],
      },
    ]),
  ]);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  assert.deepEqual(
    (await database.read("SELECT id FROM thing")).map((row) => row.id),
    [1, 4, 5],
  );
  await assert.rejects(database.read("SELECT nonsense"), { reason: "READ_FAILED" });
  await database.close();
  await database.close();
  await assert.rejects(database.write([insert(6, "e")]), { reason: "DATABASE_CLOSED" });
});

test("a database that is open, newer or no database is refused with a reason", async () => {
  const { file, remove } = temporary();
  const open = await openSqliteThread({ file, migrations: [TABLE, "CREATE TABLE more (id INTEGER)"] });
  await open.write([{ sql: "INSERT INTO thing VALUES (1, 'a')" }]);
  await assert.rejects(openSqliteThread({ file, migrations: [TABLE] }), { reason: "DATABASE_IN_USE" });
  await open.close();
  await assert.rejects(openSqliteThread({ file, migrations: [TABLE] }), { reason: "DATABASE_NEWER" });
  await assert.rejects(
    openSqliteThread({ file: join(file, "no", "such"), migrations: [] }),
    (thrown) => thrown instanceof WeftError && thrown.reason === "DATABASE_UNUSABLE",
  );
  remove();
});
