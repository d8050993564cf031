import type { Client } from "pg";
import type { Cancel, Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { BackOff } from "../../link/back-off.ts";
import type { PostgresClient } from "./postgres-client.ts";
import { layoutMark, layoutOf } from "./postgres-tables.ts";

export interface PostgresFeedOptions {
  client: PostgresClient;
  clock: Clock;
  random: Random;
  /** What changes are announced with: "endpoints shop", "item shop". */
  topic: string;
  /** Looks what has changed; `what`: behind the topic in announcements since. After every announcement, and at least twice a second, for announcements may be missed. Never two at once. */
  look: (connection: Client, what: ReadonlySet<string>) => Promise<void>;
  /** A new connection, on which changes may have been missed. */
  onConnected: (connection: Client) => Promise<void>;
  onLost: (error: WeftError) => void;
}

/**
 * One connection that follows changes, and is made again for as long as it is wanted. Makes the tables where there are none.
 *
 *     connect -> tables -> LISTEN -> onConnected -> look -> announced, or half a second over -> look -> ...
 */
export class PostgresFeed {
  readonly #options: PostgresFeedOptions;
  readonly #backOff: BackOff;
  readonly #announced = new Set<string>();
  #wake: () => void = ignore;
  #connection: Client | null = null;
  #closed = false;

  constructor(options: PostgresFeedOptions) {
    this.#options = options;
    this.#backOff = new BackOff(options.random, { baseMs: 50, maxMs: MAX_PAUSE_MS });
  }

  /** Resolves after the first look; rejects what is not helped by waiting. Goes on until close(). */
  async start(): Promise<void> {
    const { client, clock, onLost } = this.#options;
    for (;;) {
      const began = clock.now();
      const connection = await this.#connect().catch((thrown) => client.said(thrown));
      if (!(connection instanceof WeftError)) {
        void this.#follow(connection);
        return;
      }
      if (this.#closed || connection.code !== "unavailable") throw connection;
      onLost(connection);
      await this.#pause(began);
    }
  }

  close(): void {
    this.#closed = true;
    this.#connection?.end().catch(ignore);
    this.#wake();
  }

  async #follow(first: Client): Promise<void> {
    let connection: Client | null = first;
    while (!this.#closed) {
      let began = this.#options.clock.now();
      try {
        connection ??= await this.#connect();
        for (;;) {
          await this.#announcement();
          if (this.#closed) return;
          const what = new Set(this.#announced);
          this.#announced.clear();
          began = this.#options.clock.now();
          await this.#options.look(connection, what);
        }
      } catch (thrown) {
        connection?.end().catch(ignore);
        connection = null;
        if (this.#closed) return;
        this.#options.onLost(this.#options.client.said(thrown));
        await this.#pause(began);
      }
    }
  }

  async #connect(): Promise<Client> {
    const { client, topic, onConnected, look } = this.#options;
    // What ends it is found by the look that follows.
    const connection = await client.connect(() => this.#wake());
    try {
      const mark = layoutMark(client.schema);
      const { rows } = await connection.query("SELECT to_regclass($1) IS NULL AS missing", [mark]);
      if (rows[0].missing) await connection.query(layoutOf(client.schema));
      connection.on("notification", ({ payload = "" }) => {
        if (payload !== topic && !payload.startsWith(`${topic} `)) return;
        this.#announced.add(payload.slice(topic.length + 1));
        this.#wake();
      });
      await connection.query("LISTEN weft");
      this.#connection = connection;
      await onConnected(connection);
      await look(connection, new Set());
    } catch (thrown) {
      connection.end().catch(ignore);
      throw thrown;
    }
    this.#backOff.reset();
    if (this.#closed) connection.end().catch(ignore);
    return connection;
  }

  #announcement(): Promise<void> {
    if (this.#announced.size > 0) return Promise.resolve();
    return new Promise((resolve) => {
      let cancel: Cancel = ignore;
      this.#wake = () => {
        cancel();
        this.#wake = ignore;
        resolve();
      };
      cancel = this.#options.clock.after(POLL_MS, this.#wake);
    });
  }

  /** Between attempts, and so from when the one that failed began: a server that stood still is not left alone for longer. */
  #pause(began: number): Promise<void> {
    const { clock } = this.#options;
    const leftMs = began + this.#backOff.next() - clock.now();
    return leftMs <= 0 ? Promise.resolve() : new Promise((resolve) => void clock.after(leftMs, resolve));
  }
}

function ignore(): void {}

const POLL_MS = 500;
const MAX_PAUSE_MS = 1_000;
