import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { WeftError } from "../core/errors.ts";
import { openSqliteThread, type SqliteThread } from "../core/sqlite/sqlite-thread.ts";

/** The control plane's own database: the ledger and the contracts. `dataDir` is made if it is not there; "" keeps everything in memory. */
export async function openControlDatabase(dataDir: string): Promise<SqliteThread> {
  if (dataDir === "") return openSqliteThread({ file: ":memory:", migrations: MIGRATIONS });
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new WeftError(
      "failed_precondition",
      `the data folder ${dataDir} cannot be made: ${(cause as Error).message}`,
      {
        reason: "DATA_DIR_UNUSABLE",
        cause,
      },
    );
  }
  return openSqliteThread({ file: join(dataDir, "control.db"), migrations: MIGRATIONS });
}

const MIGRATIONS = [
  `CREATE TABLE revision (
     revision INTEGER PRIMARY KEY, author TEXT NOT NULL, reason TEXT NOT NULL, published_ms INTEGER NOT NULL,
     digest TEXT NOT NULL, resources TEXT NOT NULL
   ) STRICT;
   CREATE TABLE descriptors (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
   CREATE TABLE contract (
     service TEXT PRIMARY KEY, digest TEXT NOT NULL REFERENCES descriptors (digest), contracts TEXT NOT NULL
   ) STRICT, WITHOUT ROWID`,
  // Which keys have joined by a token.
  `CREATE TABLE join_token_use (
     token TEXT NOT NULL, key TEXT NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (token, key)
   ) STRICT, WITHOUT ROWID`,
  // Resources compressed (zstd), with "" in their own column: a thousand revisions of a large system are much alike in themselves.
  "ALTER TABLE revision ADD COLUMN packed BLOB",
];
