import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { KeyValueRevisions } from "../settings/key-value-revisions.ts";
import { openStore } from "./open-store.ts";

test("revisions and uses of tokens of a folder of an earlier version are moved to the store, once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-migrate-"));
  const old = new DatabaseSync(join(folder, "control.db"));
  old.exec(`CREATE TABLE revision (revision INTEGER PRIMARY KEY, author TEXT NOT NULL, reason TEXT NOT NULL, published_ms INTEGER NOT NULL,
      digest TEXT NOT NULL, resources TEXT NOT NULL, packed BLOB) STRICT;
    CREATE TABLE descriptors (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE contract (service TEXT PRIMARY KEY, digest TEXT NOT NULL, contracts TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE join_token_use (token TEXT NOT NULL, key TEXT NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (token, key)) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 3`);
  const insert = old.prepare("INSERT INTO revision VALUES (?, 'ada', 'try', 5, '', ?, ?)");
  insert.run(1, "[1]", null);
  insert.run(2, "", zstdCompressSync("[2]"));
  old.prepare("INSERT INTO join_token_use VALUES ('token-1', ?, 99)").run("ab".repeat(32));
  old.close();

  const told: string[] = [];
  const open = () => openStore({ url: "", dataDir: folder, system: "shop", tell: (line) => told.push(line) });
  const { keyValue } = await open();
  const revisions = new KeyValueRevisions(keyValue);
  assert.equal((await revisions.get(1))?.resources, "[1]");
  const head = await revisions.head();
  assert.deepEqual([head?.revision, head?.resources, head?.author, head?.publishedMs], [2, "[2]", "ada", 5]);
  const uses = JSON.parse(Buffer.from((await keyValue.get("tokens/token-1"))?.value ?? []).toString());
  assert.deepEqual(uses, { expiresMs: 99, keys: [Buffer.from("ab".repeat(16), "hex").toString("base64url")] });
  assert.match(told.join(), /2 revisions of an earlier version/);
  assert.ok(existsSync(join(folder, "control.db.old")) && !existsSync(join(folder, "control.db")));
  await keyValue.close();
  const again = await open();
  assert.equal((await new KeyValueRevisions(again.keyValue).head())?.revision, 2);
  assert.equal(told.length, 1);
  await again.keyValue.close();
  rmSync(folder, { recursive: true });
});
