import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import pg from "pg";
import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { openPostgresRegistry } from "../../src/drivers/postgres/postgres-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { timeUntil, wait } from "../registry-plane.ts";
import { PostgresServer } from "./server.ts";

/** What others may do in the database, and what is refused. */
let server: PostgresServer;
let admin: pg.Client;
before(async () => {
  server = await PostgresServer.start();
  admin = new pg.Client(PostgresServer.url(server.address));
  await admin.connect();
});
after(async () => {
  await admin?.end();
  await server?.stop();
});

async function ids(registry: Registry): Promise<string> {
  const { endpoints } = await registry.query(["*"]);
  return endpoints
    .map(({ id }) => id)
    .sort()
    .join(" ");
}

test("a login, a database and a right that are not there are refused at once, and the password is not repeated", async () => {
  const { address } = server;
  await admin.query("CREATE USER small PASSWORD 'hidden'");
  const wrong: [string, string][] = [
    [`postgres://postgres:hidden@${address}/postgres`, "unauthenticated"],
    [`postgres://nobody:hidden@${address}/postgres`, "unauthenticated"],
    [`postgres://postgres:secret@${address}/nowhere`, "failed_precondition"],
    [`postgres://small:hidden@${address}/postgres?schema=other`, "permission_denied"],
  ];
  for (const [url, code] of wrong) {
    for (const open of [openPostgresRegistry, openPostgresKeyValue]) {
      const started = performance.now();
      const thrown = await open({ url, system: "shop" }).then(
        () => assert.fail(`opened ${code}`),
        (error) => error,
      );
      assert.equal(thrown.code, code, thrown.message);
      assert.ok(!/hidden|secret/.test(thrown.message), thrown.message);
      assert.match(thrown.message, /PostgreSQL at 127\.0\.0\.1:\d+/);
      assert.ok(performance.now() - started < 3_000);
    }
  }
});

test("a user without the right to make tables uses those that are there", async () => {
  const url = PostgresServer.url(server.address);
  const first = await openPostgresRegistry({ url, system: "rights" });
  await first.register(endpointOf("alpha", 1), 60_000);
  await admin.query("CREATE USER reader PASSWORD 'own'; GRANT USAGE ON SCHEMA weft TO reader");
  await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA weft TO reader");
  const second = await openPostgresRegistry({
    url: `postgres://reader:own@${server.address}/postgres`,
    system: "rights",
  });
  await second.register(endpointOf("alpha", 2), 60_000);
  await timeUntil(async () => (await ids(first)) === "alpha-1 alpha-2", "both are seen");
  await first.close();
  await second.close();
});

test("what somebody wrote that is no endpoint is left out, and told once; what somebody deleted is put back", async () => {
  const url = PostgresServer.url(server.address);
  const told: string[] = [];
  const registry = await openPostgresRegistry({ url, system: "edited", onError: ({ message }) => told.push(message) });
  const lease = await registry.register(endpointOf("alpha", 1), 60_000);
  await admin.query(
    `INSERT INTO weft.endpoint (system, id, version, owner, value)
     SELECT 'edited', 'alpha-2', version + 1, 'x', '{"endpoint": {}}' FROM weft.head WHERE system = 'edited'`,
  );
  await admin.query("UPDATE weft.head SET version = version + 1 WHERE system = 'edited'");
  await timeUntil(() => told.length > 0, "it is told");
  await wait(1_500);
  assert.equal(told.length, 1);
  assert.match(told[0], /holds no endpoint that can be used under "alpha-2"/);
  assert.equal(await ids(registry), "alpha-1");
  // A deletion that is not counted is found when all is read again.
  await admin.query("DELETE FROM weft.endpoint WHERE system = 'edited'");
  await admin.query("UPDATE weft.head SET epoch = 'another' WHERE system = 'edited'");
  const count = async () =>
    Number((await admin.query("SELECT count(*) FROM weft.endpoint WHERE system = 'edited'")).rows[0].count);
  await timeUntil(async () => (await count()) === 1, "it is put there again");
  assert.equal(await ids(registry), "alpha-1");
  await lease.renew();
  await registry.close();
});

test("changes whose announcement is missed are found by looking", async () => {
  const url = PostgresServer.url(server.address);
  const [a, b] = [
    await openPostgresRegistry({ url, system: "missed" }),
    await openPostgresRegistry({ url, system: "missed" }),
  ];
  const store = await openPostgresKeyValue({ url, system: "missed" });
  const values: (string | undefined)[] = [];
  store.watch("a", (item) => values.push(item === null ? undefined : Buffer.from(item.value).toString()));
  await store.put("a", Buffer.from("1"), ANY);
  await timeUntil(() => values.at(-1) === "1", "the first value");
  await admin.query("CREATE OR REPLACE FUNCTION weft.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''");
  await admin.query("ALTER FUNCTION weft.change_endpoints(text, json) SET search_path = weft, pg_catalog");
  await a.register(endpointOf("alpha", 1), 60_000);
  await admin.query("UPDATE weft.item SET version = 'by-hand', value = '2' WHERE system = 'missed'");
  await timeUntil(async () => (await ids(b)) === "alpha-1", "the endpoint", 2_000);
  await timeUntil(() => values.at(-1) === "2", "the value", 2_000);
  await admin.query("DROP FUNCTION weft.pg_notify");
  for (const one of [a, b, store]) await one.close();
});

test("what was removed is forgotten after a while, and who missed it reads everything again", async () => {
  const url = PostgresServer.url(server.address);
  const [a, b] = [
    await openPostgresRegistry({ url, system: "swept" }),
    await openPostgresRegistry({ url, system: "swept" }),
  ];
  const lease = await a.register(endpointOf("alpha", 1), 60_000);
  await a.register(endpointOf("alpha", 2), 60_000);
  await timeUntil(async () => (await ids(b)) === "alpha-1 alpha-2", "both");
  await admin.query("BEGIN; SELECT weft.lock_head('swept')");
  const released = lease.release();
  await wait(100);
  await admin.query("COMMIT");
  await released;
  await admin.query("SELECT weft.forget_removed('swept', '0 seconds')");
  // Who missed the removal holds it for 3 s first: it might have been lost.
  await timeUntil(async () => (await ids(b)) === "alpha-2", "it is gone", 3_000 + 5_000);
  const { rows } = await admin.query("SELECT id FROM weft.endpoint WHERE system = 'swept'");
  assert.deepEqual(rows, [{ id: "alpha-2" }]);
  const late = await openPostgresRegistry({ url, system: "swept" });
  let told = 0;
  late.watch(["*"], () => told++);
  await wait(1_500);
  assert.equal(told, 1, "who has read everything has missed nothing");
  for (const one of [a, b, late]) await one.close();
});
