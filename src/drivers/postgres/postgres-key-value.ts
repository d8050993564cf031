import { type Clock, systemClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { assertServiceName } from "../../registry/validate.ts";
import type { KeyValue, KeyValueItem, KeyValueWatch } from "../../settings/key-value.ts";
import { assertKey, assertValue, storeClosed } from "../../settings/key-value-check.ts";
import { KeyWatchers } from "../../settings/key-watchers.ts";
import type { DriverOptions } from "../driver-options.ts";
import { createPostgresClient, type PostgresClient } from "./postgres-client.ts";
import { PostgresFeed } from "./postgres-feed.ts";
import { parsePostgresUrl } from "./postgres-url.ts";

/** Keys and values in a PostgreSQL. What a put resolved for is as durable as the server's commits. Rejects as openPostgresRegistry(). */
export async function openPostgresKeyValue(options: DriverOptions): Promise<KeyValue> {
  const { url, system, clock = systemClock, random = systemRandom, openTimeoutMs = 10_000 } = options;
  const target = parsePostgresUrl(url);
  assertServiceName(system, "system");
  return openOrClose(new PostgresKeyValue(await createPostgresClient(target, clock), system, clock, random), (store) =>
    store.opened(openTimeoutMs),
  );
}

class PostgresKeyValue implements KeyValue {
  readonly #client: PostgresClient;
  readonly #system: string;
  readonly #clock: Clock;
  readonly #watchers: KeyWatchers;
  readonly #feed: PostgresFeed;
  /** At the last look, of keys that are watched. */
  #versions = new Map<string, string | undefined>();
  #lost: WeftError | null = null;
  #looked = false;
  #closed = false;

  constructor(client: PostgresClient, system: string, clock: Clock, random: Random) {
    this.#client = client;
    this.#system = system;
    this.#clock = clock;
    this.#watchers = new KeyWatchers((key) => this.get(key), clock);
    this.#feed = new PostgresFeed({
      client,
      clock,
      random,
      topic: `item ${system}`,
      onConnected: async () => this.#watchers.changedAll(),
      look: async (connection, keys) => {
        this.#lost = null;
        for (const key of keys) this.#watchers.changed(key);
        // Silence is noticed by asking; and what was announced nowhere, from time to time.
        const watched = [...this.#watchers.keys()];
        if (keys.size > 0 || (watched.length === 0 && this.#looked)) return void (await connection.query("SELECT 1"));
        this.#looked = true;
        const text = `SELECT key, version FROM ${client.schema}.item WHERE system = $1 AND key = ANY ($2)`;
        const { rows } = await connection.query(text, [system, watched]);
        this.#compare(watched, new Map(rows.map(({ key, version }) => [key, version])));
      },
      onLost: (error) => {
        this.#lost = error;
        client.renew();
      },
    });
  }

  async opened(timeoutMs: number): Promise<void> {
    let cancel = (): void => {};
    const late = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(timeoutMs, () => {
        const why = this.#lost?.message ?? `${this.#client.name} does not answer`;
        reject(new WeftError("unavailable", why, { reason: "STORE_AWAY" }));
      });
    });
    await Promise.race([this.#feed.start(), late]).finally(() => cancel());
  }

  async get(key: string): Promise<KeyValueItem | null> {
    assertKey(key);
    const [row] = await this.#ask<Row>("SELECT key, version, value FROM TABLE WHERE system = $1 AND key = $2", [key]);
    return row === undefined ? null : itemOf(row);
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    assertKey(prefix);
    const text = "SELECT key, version, value FROM TABLE WHERE system = $1 AND key > $2 AND key < $3 ORDER BY key";
    return (await this.#ask<Row>(text, below(prefix))).map(itemOf);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    assertKey(prefix);
    const text = "SELECT key FROM TABLE WHERE system = $1 AND key > $2 AND key < $3 ORDER BY key";
    return (await this.#ask<{ key: string }>(text, below(prefix))).map(({ key }) => key);
  }

  async put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    assertKey(key);
    assertValue(key, value);
    // A copy of its own: whoever gave it may go on writing to it.
    const { made_version } = await this.#change(key, Buffer.from(Uint8Array.from(value)), expected);
    return made_version;
  }

  async delete(key: string, expected: string): Promise<boolean> {
    assertKey(key);
    return (await this.#change(key, null, expected)).done;
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    this.#assertOpen();
    assertKey(key);
    return this.#watchers.watch(key, listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#watchers.close();
    this.#feed.close();
    await this.#client.close();
  }

  #compare(watched: readonly string[], versions: ReadonlyMap<string, string>): void {
    for (const key of watched) if (versions.get(key) !== this.#versions.get(key)) this.#watchers.changed(key);
    this.#versions = new Map(watched.map((key) => [key, versions.get(key)]));
  }

  async #change(
    key: string,
    value: Buffer | null,
    expected: string,
  ): Promise<{ done: boolean; made_version: string | null }> {
    const text = "SELECT done, made_version FROM SCHEMA.change_item($1, $2, $3, $4)";
    const [answer] = await this.#ask<{ done: boolean; made_version: string | null }>(text, [key, value, expected]);
    this.#watchers.changed(key);
    return answer;
  }

  async #ask<Row extends object>(text: string, values: readonly unknown[]): Promise<Row[]> {
    this.#assertOpen();
    const { schema } = this.#client;
    const sql = text.replace("TABLE", `${schema}.item`).replace("SCHEMA", schema);
    try {
      return await this.#client.query<Row>(sql, [this.#system, ...values]);
    } catch (thrown) {
      if (this.#closed) throw storeClosed();
      throw thrown;
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

interface Row {
  readonly key: string;
  readonly version: string;
  readonly value: Buffer;
}

/** Keys have nothing that sorts between "/" and "0". */
function below(prefix: string): string[] {
  return [`${prefix}/`, `${prefix}0`];
}

function itemOf({ key, version, value }: Row): KeyValueItem {
  return { key, version, value: Uint8Array.from(value) };
}
