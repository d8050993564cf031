import { Worker } from "node:worker_threads";
import { WeftError } from "../errors.ts";

/**
 * An SQLite database in a thread of its own, so that an fsync delays nobody. Commits are grouped: what is written while a transaction is on its
 * way to the disk becomes the next one, however many writers it has; each write stands or falls alone (a savepoint).
 *
 * WAL with synchronous=FULL: what a write() resolved for survives a power cut. The file is locked to this process while it is open.
 */
export interface SqliteThread {
  /** Runs the statements as one atomic write, in the order of calls. Resolves when it is durable; rejects `internal` when it was not made. */
  write(statements: readonly SqliteStatement[]): Promise<void>;
  /** Rows of a query; it sees every write() made before it. */
  read(sql: string, parameters?: readonly SqliteValue[]): Promise<SqliteRow[]>;
  /** Ends after what was asked before it. Idempotent. */
  close(): Promise<void>;
}

export interface SqliteStatement {
  readonly sql: string;
  readonly parameters?: readonly SqliteValue[];
  /** Instead of `parameters`: runs once for each, which costs less than as many statements. */
  readonly rows?: readonly (readonly SqliteValue[])[];
}

export type SqliteValue = string | number | bigint | null | Uint8Array;
export type SqliteRow = Record<string, SqliteValue>;

export interface SqliteThreadOptions {
  /** Path of the file; its folder must exist. ":memory:" keeps nothing. */
  file: string;
  /** Statements that bring the schema from version i to i + 1 (PRAGMA user_version). Never changed once released; only added to. */
  migrations: readonly string[];
}

/** Rejects `failed_precondition`: DATABASE_IN_USE (another process has it), DATABASE_NEWER (made by a newer version), DATABASE_UNUSABLE. */
export async function openSqliteThread(options: SqliteThreadOptions): Promise<SqliteThread> {
  const thread = new Thread(options);
  await thread.opened;
  return thread;
}

/** What goes to the thread. Answered in order, one SqliteAnswer each; a group of writes is one request. */
export type SqliteRequest =
  | { readonly kind: "write"; readonly writes: readonly (readonly SqliteStatement[])[] }
  | { readonly kind: "read"; readonly sql: string; readonly parameters: readonly SqliteValue[] }
  | { readonly kind: "close" };

/** `failures` of a group: null where the write was made. */
export type SqliteAnswer =
  | { readonly kind: "opened" }
  | { readonly kind: "failed"; readonly reason: string; readonly message: string }
  | { readonly kind: "written"; readonly failures: readonly (string | null)[] }
  | { readonly kind: "rows"; readonly rows: SqliteRow[] }
  | { readonly kind: "closed" };

class Thread implements SqliteThread {
  readonly opened: Promise<void>;
  readonly #file: string;
  readonly #worker: Worker;
  /** Who waits for the answers, in the order of the requests. */
  readonly #waiting: ((answer: SqliteAnswer | WeftError) => void)[] = [];
  #group: { statements: readonly SqliteStatement[]; done: (failure: WeftError | null) => void }[] = [];
  #committing = false;
  #dead: WeftError | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: SqliteThreadOptions) {
    this.#file = options.file;
    // Sources run as they are while developing; the package holds the built file beside this one.
    const name = import.meta.url.endsWith(".ts") ? "./sqlite-worker.ts" : "./sqlite-worker.js";
    this.#worker = new Worker(new URL(name, import.meta.url), { workerData: options, name: "weft-sqlite" });
    this.#worker.on("message", (answer: SqliteAnswer) => this.#answered(answer));
    this.#worker.on("error", (cause) => this.#died(cause));
    this.#worker.on("exit", () => this.#died(undefined));
    this.opened = this.#next().then(() => {});
  }

  write(statements: readonly SqliteStatement[]): Promise<void> {
    if (statements.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.#dead !== null || this.#closing !== null) return reject(this.#dead ?? this.#closed());
      this.#group.push({ statements, done: (failure) => (failure === null ? resolve() : reject(failure)) });
      if (!this.#committing) this.#commitGroup();
    });
  }

  async read(sql: string, parameters: readonly SqliteValue[] = []): Promise<SqliteRow[]> {
    if (this.#dead !== null || this.#closing !== null) throw this.#dead ?? this.#closed();
    if (this.#group.length > 0) this.#commitGroup();
    const answer = await this.#ask({ kind: "read", sql, parameters });
    return answer.kind === "rows" ? answer.rows : [];
  }

  close(): Promise<void> {
    if (this.#closing !== null) return this.#closing;
    if (this.#group.length > 0) this.#commitGroup();
    this.#closing = this.#dead !== null ? Promise.resolve() : this.#ask({ kind: "close" }).then(ignore, ignore);
    return this.#closing;
  }

  #commitGroup(): void {
    const group = this.#group;
    this.#group = [];
    this.#committing = true;
    const settle = (answer: SqliteAnswer | WeftError) => {
      this.#committing = false;
      for (const [index, write] of group.entries()) {
        const failure =
          answer instanceof WeftError ? answer : answer.kind === "written" ? answer.failures[index] : null;
        write.done(typeof failure === "string" ? this.#failed("WRITE_FAILED", failure) : failure);
      }
      if (this.#group.length > 0) this.#commitGroup();
    };
    this.#ask({ kind: "write", writes: group.map((write) => write.statements) }).then(settle, settle);
  }

  #ask(request: SqliteRequest): Promise<SqliteAnswer> {
    const answer = this.#next();
    this.#worker.postMessage(request);
    return answer;
  }

  /** While answers are awaited the thread keeps the process alive. */
  #next(): Promise<SqliteAnswer> {
    if (this.#dead !== null) return Promise.reject(this.#dead);
    if (this.#waiting.length === 0) this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.push((answer) => (answer instanceof WeftError ? reject(answer) : resolve(answer)));
    });
  }

  #answered(answer: SqliteAnswer): void {
    const waiting = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#worker.unref();
    waiting?.(answer.kind === "failed" ? this.#failed(answer.reason, answer.message) : answer);
  }

  #died(cause: unknown): void {
    this.#dead ??=
      this.#closing === null ? this.#failed("DATABASE_THREAD_ENDED", "its thread ended", cause) : this.#closed();
    for (const waiting of this.#waiting.splice(0)) waiting(this.#dead);
  }

  #failed(reason: string, message: string, cause?: unknown): WeftError {
    const code = reason.startsWith("DATABASE_") ? "failed_precondition" : "internal";
    return new WeftError(code, `database ${this.#file}: ${message}`, { reason, cause });
  }

  #closed(): WeftError {
    return new WeftError("unavailable", `database ${this.#file} is closed`, { reason: "DATABASE_CLOSED" });
  }
}

function ignore(): void {}
