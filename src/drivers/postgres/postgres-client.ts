import type { Client, ClientConfig, Pool, PoolClient } from "pg";
import { hostPort } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { readTls } from "../driver-tls.ts";
import type { TlsFiles } from "../driver-url.ts";
import { fromPostgres } from "./postgres-error.ts";
import type { PostgresTarget } from "./postgres-url.ts";

/**
 * Connections to a PostgreSQL: a few for what is asked, and one for who follows it. Needs the package `pg`: rejects `failed_precondition` without it, and `invalid_argument` for files of
 * TLS that cannot be read. Connects when it is asked something.
 */
export async function createPostgresClient(target: PostgresTarget, clock: Clock): Promise<PostgresClient> {
  const pg = await import("pg").catch((cause) => {
    const text = "PostgreSQL needs a package: npm install pg";
    throw new WeftError("failed_precondition", text, { reason: "PACKAGE_MISSING", cause });
  });
  return new PostgresClient(pg, target, clock);
}

/** Connections to one PostgreSQL, made when they are needed. A query waits, as long as one may take, until it has a connection, and is sent once. Made by createPostgresClient(). */
export class PostgresClient {
  readonly name: string;
  readonly schema: string;
  readonly #pg: typeof import("pg");
  readonly #clock: Clock;
  readonly #config: ClientConfig;
  #pool: Pool;
  /** Who waits for a connection of the pool, told when there is another pool. */
  readonly #acquiring = new Set<() => void>();
  #closed = false;

  constructor(pg: typeof import("pg"), target: PostgresTarget, clock: Clock) {
    const { host, port, user, password, database, schema, tls } = target;
    this.name = `PostgreSQL at ${hostPort(host, port)}`;
    this.schema = schema;
    this.#pg = pg;
    this.#clock = clock;
    this.#config = {
      host,
      port,
      user,
      password,
      database,
      ssl: tls === null ? false : tlsOf(tls),
      application_name: "weft",
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: QUERY_MS,
      // What its client has given up is not to be carried out much later.
      statement_timeout: QUERY_MS,
    };
    this.#pool = this.#newPool();
  }

  /** What is not sent yet is tried again until the deadline; what was sent is not, for it may have been carried out. Rejects `unavailable`. */
  async query<Row extends object>(text: string, values: unknown[]): Promise<Row[]> {
    const deadline = this.#clock.now() + CALL_MS;
    for (;;) {
      if (this.#closed) throw closedError();
      const client = await this.#acquire().catch((thrown) => fromPostgres(thrown));
      if (client === null && this.#clock.now() < deadline) continue;
      if (client === null) throw this.said(new Error("its connections are made anew again and again"));
      if (client instanceof WeftError) {
        if (client.code !== "unavailable" || this.#closed || this.#clock.now() + AGAIN_MS >= deadline)
          throw this.said(client);
        await new Promise<void>((resolve) => void this.#clock.after(AGAIN_MS, resolve));
        continue;
      }
      try {
        const { rows } = await client.query<Row>(text, values);
        client.release();
        return rows;
      } catch (thrown) {
        const error = fromPostgres(thrown);
        client.release(error.code === "unavailable" ? error : undefined);
        throw this.said(error);
      }
    }
  }

  /** Connections that are idle now may be dead, too. */
  renew(): void {
    if (this.#closed) return;
    const old = this.#pool;
    this.#pool = this.#newPool();
    old.end().catch(ignore);
    this.#wake();
  }

  /** A connection of the caller's own. `onEnd` is told that it cannot be used any more; so is who asks it something. */
  async connect(onEnd: () => void): Promise<Client> {
    const client = new this.#pg.Client({ ...this.#config, query_timeout: FOLLOW_MS });
    client.on("error", onEnd);
    client.on("end", onEnd);
    try {
      await client.connect();
    } catch (thrown) {
      client.end().catch(ignore);
      throw this.said(thrown);
    }
    return client;
  }

  /** What went wrong, with the server's name. */
  said(thrown: unknown): WeftError {
    if (this.#closed) return closedError();
    const error = fromPostgres(thrown);
    if (error.message.startsWith(`${this.name}: `)) return error;
    const hint = error.code === "permission_denied" ? ` (of schema ${this.schema}: docs/postgres.md)` : "";
    const { reason, retryable } = error;
    return new WeftError(error.code, `${this.name}: ${error.message}${hint}`, { reason, retryable, cause: error });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake();
    // What waits for an answer is not waited for.
    await Promise.race([
      this.#pool.end().catch(ignore),
      new Promise<void>((resolve) => void this.#clock.after(CLOSE_MS, resolve)),
    ]);
  }

  /** A connection; null: they are made anew, and this one is not to be waited for. */
  #acquire(): Promise<PoolClient | null> {
    return new Promise((resolve, reject) => {
      const renewed = (): void => resolve(null);
      this.#acquiring.add(renewed);
      this.#pool.connect().then(
        (client) => {
          if (this.#acquiring.delete(renewed)) resolve(client);
          else client.release(true);
        },
        (thrown) => {
          this.#acquiring.delete(renewed);
          reject(thrown);
        },
      );
    });
  }

  /** A pool that ends lets those wait who are in its queue. */
  #wake(): void {
    for (const renewed of this.#acquiring) renewed();
    this.#acquiring.clear();
  }

  #newPool(): Pool {
    const pool = new this.#pg.Pool({
      ...this.#config,
      // More once one is there: a server that stands still would have to look at all that were given up meanwhile before it answers anybody.
      max: 1,
      idleTimeoutMillis: IDLE_MS,
      allowExitOnIdle: true,
    });
    pool.on("connect", (client) => {
      pool.options.max = MAX_CONNECTIONS;
      client.on("error", ignore); // who uses it hears of it by what it asked
    });
    pool.on("error", ignore); // an idle connection ended: the next call makes another one
    return pool;
  }
}

function tlsOf(files: TlsFiles): object {
  const { serverName: servername, ...pem } = readTls(files, "PostgreSQL");
  return { ...pem, ...(servername !== undefined && { servername }) };
}

function closedError(): WeftError {
  return new WeftError("unavailable", "it is closed", { reason: "CLOSED" });
}

function ignore(): void {}

const CONNECT_MS = 4_000;
const QUERY_MS = 2_500;
/** Of who follows: silence is noticed after this. */
const FOLLOW_MS = 2_500;
/** Of one thing that is asked, however many connections it takes. */
const CALL_MS = 5_000;
const AGAIN_MS = 100;
const CLOSE_MS = 1_000;
const IDLE_MS = 10_000;
const MAX_CONNECTIONS = 4;
