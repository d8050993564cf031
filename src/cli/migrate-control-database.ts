import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { openSqliteThread, type SqliteRow } from "../core/sqlite/sqlite-thread.ts";
import { ABSENT, type KeyValue } from "../settings/key-value.ts";
import { KeyValueRevisions } from "../settings/key-value-revisions.ts";
import { NO_SETTINGS } from "../settings/settings-state.ts";

/**
 * Earlier versions kept revisions, contracts and the uses of join tokens in control.db. Once, its revisions and uses go into the store, and the file is called control.db.old from then on
 * (nothing reads it any more); contracts come back with the services. Interrupted, it goes on where it stopped.
 */
export async function migrateControlDatabase(
  dataDir: string,
  store: KeyValue,
  tell: (message: string) => void,
): Promise<void> {
  const file = join(dataDir, "control.db");
  if (!existsSync(file)) return;
  const database = await openSqliteThread({ file, migrations: MIGRATIONS });
  const revisions = new KeyValueRevisions(store);
  let moved = 0;
  try {
    const newest = (await revisions.head())?.revision ?? 0;
    for (const { revision } of await database.read(
      "SELECT revision FROM revision WHERE revision > ? ORDER BY revision",
      [newest],
    )) {
      const [row] = await database.read("SELECT * FROM revision WHERE revision = ?", [revision]);
      // One that others publish meanwhile is the store's own: what is here comes before all of them, or not at all.
      if (!(await revisions.append(await revisionOf(row)))) break;
      moved++;
    }
    const byToken = new Map<string, { expiresMs: number; keys: string[] }>();
    for (const { token, key, expires_ms } of await database.read("SELECT token, key, expires_ms FROM join_token_use")) {
      const uses = byToken.get(String(token)) ?? { expiresMs: 0, keys: [] };
      uses.expiresMs = Math.max(uses.expiresMs, Number(expires_ms));
      uses.keys.push(Buffer.from(String(key), "hex").subarray(0, 16).toString("base64url"));
      byToken.set(String(token), uses);
    }
    for (const [token, uses] of byToken) await store.put(`tokens/${token}`, Buffer.from(JSON.stringify(uses)), ABSENT);
  } finally {
    await revisions.close();
    await database.close();
  }
  for (const end of ["-wal", "-shm"]) await rm(`${file}${end}`, { force: true });
  await rename(file, `${file}.old`);
  tell(
    `${moved} revisions of an earlier version were moved from control.db to the store; control.db.old is not used any more`,
  );
}

async function revisionOf({ revision, author, reason, published_ms, resources, packed }: SqliteRow) {
  return {
    revision: Number(revision),
    author: String(author),
    reason: String(reason),
    publishedMs: Number(published_ms),
    changes: [],
    resources: packed === null ? String(resources) : String(await unpack(packed as Uint8Array)),
    settings: JSON.stringify(NO_SETTINGS),
  };
}

const unpack = promisify(zstdDecompress);
const MIGRATIONS = [
  `CREATE TABLE revision (
     revision INTEGER PRIMARY KEY, author TEXT NOT NULL, reason TEXT NOT NULL, published_ms INTEGER NOT NULL,
     digest TEXT NOT NULL, resources TEXT NOT NULL
   ) STRICT;
   CREATE TABLE descriptors (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
   CREATE TABLE contract (
     service TEXT PRIMARY KEY, digest TEXT NOT NULL REFERENCES descriptors (digest), contracts TEXT NOT NULL
   ) STRICT, WITHOUT ROWID`,
  `CREATE TABLE join_token_use (
     token TEXT NOT NULL, key TEXT NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (token, key)
   ) STRICT, WITHOUT ROWID`,
  "ALTER TABLE revision ADD COLUMN packed BLOB",
];
