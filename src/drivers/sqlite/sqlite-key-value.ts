import { WeftError } from "../../core/errors.ts";
import {
  openSqliteThread,
  type SqliteRow,
  type SqliteStatement,
  type SqliteThread,
} from "../../core/sqlite/sqlite-thread.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem, type KeyValueWatch } from "../../settings/key-value.ts";
import { assertKey, assertValue, storeClosed } from "../../settings/key-value-check.ts";
import { KeyWatchers } from "../../settings/key-watchers.ts";

export interface SqliteKeyValueOptions {
  /** The database's path; its folder must exist. It is this process's alone while it is open. */
  file: string;
}

/**
 * The embedded default: what put() and delete() resolved for survives a power cut. Everything is decided in the database's thread, in the order of calls. Rejects as openSqliteThread().
 *
 * Versions are "OPENING.CHANGE": how often the file had been opened, and a count of changes since; so none is ever given twice, and none has to be read before a change.
 */
export async function openSqliteKeyValue({ file }: SqliteKeyValueOptions): Promise<KeyValue> {
  const database = await openSqliteThread({ file, migrations: MIGRATIONS });
  await database.write([{ sql: "UPDATE opening SET times = times + 1" }]);
  const [{ times }] = await database.read("SELECT times FROM opening");
  return new SqliteKeyValue(database, Number(times));
}

const MIGRATIONS = [
  `CREATE TABLE item (key TEXT PRIMARY KEY, version TEXT NOT NULL, value BLOB NOT NULL) STRICT;
   CREATE TABLE opening (times INTEGER NOT NULL) STRICT;
   INSERT INTO opening VALUES (0);
   CREATE VIEW expectation AS SELECT '' AS key, '' AS version;
   CREATE TRIGGER expectation_holds INSTEAD OF INSERT ON expectation BEGIN
     SELECT RAISE(ABORT, 'EXPECTED_OTHERWISE')
       WHERE coalesce((SELECT version FROM item WHERE key = NEW.key), '${ABSENT}') <> NEW.version;
   END`,
];

class SqliteKeyValue implements KeyValue {
  readonly #database: SqliteThread;
  readonly #opening: number;
  readonly #watchers: KeyWatchers;
  #changes = 0;
  #closed = false;

  constructor(database: SqliteThread, opening: number) {
    this.#database = database;
    this.#opening = opening;
    this.#watchers = new KeyWatchers((key) => this.get(key));
  }

  async get(key: string): Promise<KeyValueItem | null> {
    this.#assertOpen();
    assertKey(key);
    const [row] = await this.#database.read("SELECT key, version, value FROM item WHERE key = ?", [key]);
    return row === undefined ? null : itemOf(row);
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    this.#assertOpen();
    assertKey(prefix);
    const sql = "SELECT key, version, value FROM item WHERE key > ? AND key < ? ORDER BY key";
    return (await this.#database.read(sql, below(prefix))).map(itemOf);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    this.#assertOpen();
    assertKey(prefix);
    const rows = await this.#database.read(
      "SELECT key FROM item WHERE key > ? AND key < ? ORDER BY key",
      below(prefix),
    );
    return rows.map(({ key }) => String(key));
  }

  async put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    this.#assertOpen();
    assertKey(key);
    assertValue(key, value);
    const version = `${this.#opening}.${++this.#changes}`;
    // A copy of its own: whoever gave it may go on writing to it.
    const parameters = [key, version, Uint8Array.from(value)];
    const put = { sql: "INSERT OR REPLACE INTO item (key, version, value) VALUES (?, ?, ?)", parameters };
    return (await this.#change(key, put, expected)) ? version : null;
  }

  async delete(key: string, expected: string): Promise<boolean> {
    this.#assertOpen();
    assertKey(key);
    return this.#change(key, { sql: "DELETE FROM item WHERE key = ?", parameters: [key] }, expected);
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    this.#assertOpen();
    assertKey(key);
    return this.#watchers.watch(key, listener);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#watchers.close();
    return this.#database.close();
  }

  /** False: the expectation does not hold, and nothing was changed. */
  async #change(key: string, change: SqliteStatement, expected: string): Promise<boolean> {
    const guard = { sql: "INSERT INTO expectation (key, version) VALUES (?, ?)", parameters: [key, expected] };
    try {
      await this.#database.write(expected === ANY ? [change] : [guard, change]);
    } catch (thrown) {
      if (thrown instanceof WeftError && thrown.message.endsWith("EXPECTED_OTHERWISE")) return false;
      throw thrown;
    }
    this.#watchers.changed(key);
    return true;
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

/** Keys have nothing that sorts between "/" and "0". */
function below(prefix: string): [string, string] {
  return [`${prefix}/`, `${prefix}0`];
}

function itemOf({ key, version, value }: SqliteRow): KeyValueItem {
  return { key: String(key), version: String(version), value: value as Uint8Array };
}
