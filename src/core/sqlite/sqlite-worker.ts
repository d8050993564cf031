/** The thread of sqlite-thread.ts: it alone touches the database. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { SqliteAnswer, SqliteRequest, SqliteStatement, SqliteThreadOptions } from "./sqlite-thread.ts";

const port = parentPort;
if (port === null) throw new Error("sqlite-worker.ts runs in a worker thread only");
const answer = (message: SqliteAnswer) => port.postMessage(message);
const { file, migrations } = workerData as SqliteThreadOptions;
const prepared = new Map<string, StatementSync>();

const database = open();
if (database === null) port.close();
else {
  port.on("message", (request: SqliteRequest) => {
    if (request.kind === "write") answer({ kind: "written", failures: write(database, request.writes) });
    else if (request.kind === "read") read(database, request);
    else {
      database.close();
      answer({ kind: "closed" });
      port.close();
    }
  });
}

function open(): DatabaseSync | null {
  let opened: DatabaseSync | null = null;
  try {
    opened = new DatabaseSync(file, { timeout: 500 });
    // Exclusive before WAL: no shared-memory file, and a second process is told instead of corrupting what the first believes.
    opened.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE",
    );
    const version = Number((opened.prepare("PRAGMA user_version").get() as { user_version: number }).user_version);
    if (version > migrations.length) {
      answer({
        kind: "failed",
        reason: "DATABASE_NEWER",
        message: `its schema has version ${version}, this program knows ${migrations.length}; run the newer weft that made it`,
      });
      return null;
    }
    for (const migration of migrations.slice(version)) opened.exec(migration);
    opened.exec(`PRAGMA user_version = ${migrations.length}; COMMIT`);
    answer({ kind: "opened" });
    return opened;
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const locked = /locked|busy/i.test(message);
    answer({
      kind: "failed",
      reason: locked ? "DATABASE_IN_USE" : "DATABASE_UNUSABLE",
      message: locked ? "another process has it open; stop that one, or use another folder" : message,
    });
    return null;
  }
}

function write(db: DatabaseSync, writes: readonly (readonly SqliteStatement[])[]): (string | null)[] {
  const failures: (string | null)[] = new Array(writes.length).fill(null);
  try {
    db.exec("BEGIN IMMEDIATE");
    for (const [index, statements] of writes.entries()) {
      db.exec("SAVEPOINT one");
      try {
        for (const { sql, parameters = [], rows } of statements) {
          const statement = prepare(db, sql);
          if (rows === undefined) statement.run(...parameters);
          else for (const row of rows) statement.run(...row);
        }
      } catch (thrown) {
        failures[index] = messageOf(thrown);
        db.exec("ROLLBACK TO one");
      }
      db.exec("RELEASE one");
    }
    db.exec("COMMIT");
  } catch (thrown) {
    failures.fill(messageOf(thrown));
    if (db.isTransaction) db.exec("ROLLBACK");
  }
  return failures;
}

function read(db: DatabaseSync, { sql, parameters }: Extract<SqliteRequest, { kind: "read" }>): void {
  try {
    answer({ kind: "rows", rows: prepare(db, sql).all(...parameters) });
  } catch (thrown) {
    answer({ kind: "failed", reason: "READ_FAILED", message: messageOf(thrown) });
  }
}

function prepare(db: DatabaseSync, sql: string): StatementSync {
  let statement = prepared.get(sql);
  if (statement === undefined) prepared.set(sql, (statement = db.prepare(sql)));
  return statement;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
