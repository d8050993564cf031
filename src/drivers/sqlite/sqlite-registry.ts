import { type Clock, systemClock } from "../../core/clock.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import type { WeftError } from "../../core/errors.ts";
import {
  openSqliteThread,
  type SqliteStatement,
  type SqliteThread,
  type SqliteValue,
} from "../../core/sqlite/sqlite-thread.ts";
import type { EndpointChange, LeaseTable, LeaseTableOptions } from "../../registry/lease-table.ts";
import type { ConsistencyMode, Registry } from "../../registry/registry.ts";
import { MemoryRegistry, type RegistryJournal } from "../memory/memory-registry.ts";

export interface SqliteRegistryOptions {
  /** The database's path; its folder must exist. */
  file: string;
  /** Default "available". It is linearizable in both: everybody asks this process. */
  mode?: ConsistencyMode;
  clock?: Clock;
  leases?: Omit<LeaseTableOptions, "startVersion">;
  /** Told when a change could not be made durable that nobody waits for (an eviction, a disk that is full). Default: nobody is told. */
  onError?: (error: WeftError) => void;
}

/**
 * The embedded default: leases in memory, endpoints in SQLite. A registration, release or change of health is durable when it resolves; a heartbeat
 * never touches the disk. Opened again, all endpoints are back with the health that was known and a full period of grace, and the endpoint
 * version goes on above every one that was ever told.
 */
export async function openSqliteRegistry(options: SqliteRegistryOptions): Promise<Registry> {
  const clock = options.clock ?? systemClock;
  const database = await openSqliteThread({ file: options.file, migrations: MIGRATIONS });
  const [known] = await database.read("SELECT value FROM counter WHERE name = 'endpoint_version'");
  const rows = await database.read("SELECT * FROM endpoint ORDER BY id");
  const startVersion = known === undefined ? 0 : Number(known.value) + VERSION_GAP;
  const journal = new Journal(database, options.onError);
  const registry = new MemoryRegistry({
    mode: options.mode,
    clock,
    leases: { ...options.leases, startVersion },
    journal,
  });
  for (const row of rows) {
    const endpoint = JSON.parse(String(row.json)) as Omit<Endpoint, "health">;
    const ttlMs = row.ttl_ms === null ? Number.POSITIVE_INFINITY : Number(row.ttl_ms);
    const [owner, check] = [row.owner_health as Health, row.check_health as Health];
    registry.table.restore({ ...endpoint, health: owner }, ttlMs, owner, check, clock.now());
  }
  await registry.flush();
  return registry;
}

/** Versions may have been told whose write a crash prevented; no single write holds nearly so many. */
const VERSION_GAP = 1_000_000;

const MIGRATIONS = [
  `CREATE TABLE endpoint (
     id TEXT PRIMARY KEY, ttl_ms REAL, owner_health TEXT NOT NULL, check_health TEXT NOT NULL, json TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
];

/** While changes are on their way to the disk, those that come meanwhile become the next write: of each endpoint, what it is by then. */
class Journal implements RegistryJournal {
  readonly #database: SqliteThread;
  readonly #onError: ((error: WeftError) => void) | undefined;
  #next: { readonly ids: Set<string>; readonly written: Promise<void> } | null = null;
  /** Settles with the last write; never rejects. */
  #last: Promise<void> = Promise.resolve();

  constructor(database: SqliteThread, onError: ((error: WeftError) => void) | undefined) {
    this.#database = database;
    this.#onError = onError;
  }

  write(changes: readonly EndpointChange[], table: LeaseTable): Promise<void> {
    const { ids, written } = (this.#next ??= this.#begin(table));
    for (const { id } of changes) ids.add(id);
    return written;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#database.close();
  }

  #begin(table: LeaseTable): { ids: Set<string>; written: Promise<void> } {
    const ids = new Set<string>();
    const written = this.#last.then(() => {
      this.#next = null;
      return this.#commit(ids, table);
    });
    this.#last = written.catch(ignore); // who waits for it hears of it
    return { ids, written };
  }

  async #commit(ids: ReadonlySet<string>, table: LeaseTable): Promise<void> {
    const gone: SqliteValue[][] = [];
    const present: SqliteValue[][] = [];
    for (const id of ids) {
      const endpoint = table.get(id);
      if (endpoint === undefined) {
        gone.push([id]);
        continue;
      }
      const { health, ...rest } = endpoint;
      const { owner, check } = table.healthOf(id) ?? { owner: health, check: "healthy" as const };
      const ttlMs = table.ttlOf(id) ?? Number.POSITIVE_INFINITY;
      present.push([id, ttlMs === Number.POSITIVE_INFINITY ? null : ttlMs, owner, check, JSON.stringify(rest)]);
    }
    const statements: SqliteStatement[] = [
      { sql: "DELETE FROM endpoint WHERE id = ?", rows: gone },
      {
        sql: "INSERT OR REPLACE INTO endpoint (id, ttl_ms, owner_health, check_health, json) VALUES (?, ?, ?, ?, ?)",
        rows: present,
      },
      {
        sql: "INSERT OR REPLACE INTO counter (name, value) VALUES ('endpoint_version', ?)",
        parameters: [table.version],
      },
    ];
    try {
      await this.#database.write(statements);
    } catch (thrown) {
      this.#onError?.(thrown as WeftError);
      throw thrown;
    }
  }
}

function ignore(): void {}
