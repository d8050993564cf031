import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Opens a service's own database: in WEFT_DATA under `weft up`, otherwise in `.weft/data/<name>` of the present folder. Replicas of a
 * service share the file, which is why writers wait for each other and readers do not (WAL). ":memory:" is for tests.
 */
export function openDatabase(name: string, schema: string, path = databasePath(name)): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 5_000 });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
  transaction(db, () => db.exec(schema));
  return db;
}

/** Runs `work` as one write: all of it happens or none. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    db.exec("ROLLBACK");
    throw error;
  }
}

function databasePath(name: string): string {
  const dir = process.env.WEFT_DATA ?? join(".weft", "data", name);
  mkdirSync(dir, { recursive: true });
  return join(dir, `${name}.db`);
}
