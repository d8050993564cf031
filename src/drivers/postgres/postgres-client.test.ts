import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { PostgresClient } from "./postgres-client.ts";

/** As pg's, with connections that come when the test says so, and what is known of each pool. */
class FakePool extends EventEmitter {
  readonly options: { max: number };
  readonly #asked: ((client: object) => void)[] = [];
  destroyed = 0;
  ended = false;

  constructor(options: { max: number }) {
    super();
    this.options = options;
    pools.push(this);
  }

  get waiting(): number {
    return this.#asked.length;
  }

  connect(): Promise<object> {
    return new Promise((resolve) => void this.#asked.push(resolve));
  }

  /** A connection for who asked first. */
  serve(row: object): void {
    const client = Object.assign(new EventEmitter(), {
      query: async () => ({ rows: [row] }),
      release: (broken?: unknown) => {
        if (broken !== undefined) this.destroyed++;
      },
    });
    this.emit("connect", client);
    this.#asked.shift()?.(client);
  }

  async end(): Promise<void> {
    this.ended = true;
  }
}

let pools: FakePool[] = [];

function clientOf(): PostgresClient {
  pools = [];
  const pg = { Pool: FakePool, Client: EventEmitter } as unknown as typeof import("pg");
  const login = { user: "u", password: "p", database: "d", schema: "weft", tls: null };
  return new PostgresClient(pg, { host: "127.0.0.1", port: 5432, ...login }, new VirtualClock());
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("who waits for a connection that is not waited for any more is given one of those that are made anew", async () => {
  const client = clientOf();
  const asked = client.query("SELECT 1", []);
  await turn();
  client.renew();
  await turn();
  assert.deepEqual([pools.length, pools[0].ended, pools[1].waiting], [2, true, 1]);
  pools[1].serve({ one: 1 });
  assert.deepEqual(await asked, [{ one: 1 }]);
  // The earlier one comes after all, and nobody has it.
  pools[0].serve({ one: 0 });
  await turn();
  assert.equal(pools[0].destroyed, 1);
  await client.close();
});

test("there is one connection first, and more when that is there", async () => {
  const client = clientOf();
  const asked = client.query("SELECT 1", []);
  assert.equal(pools[0].options.max, 1);
  pools[0].serve({});
  await asked;
  assert.ok(pools[0].options.max > 1);
  client.renew();
  assert.equal(pools[1].options.max, 1);
  await client.close();
});

test("who waits for a connection when it is closed is told so", async () => {
  const client = clientOf();
  const asked = client.query("SELECT 1", []);
  const refused = assert.rejects(asked, { code: "unavailable", reason: "CLOSED" });
  await client.close();
  await refused;
});
