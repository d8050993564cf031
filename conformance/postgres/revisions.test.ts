import { after, before } from "node:test";
import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { KeyValueRevisions } from "../../src/settings/key-value-revisions.ts";
import { revisionStoreCases } from "../../src/settings/revision-store.case.ts";
import { PostgresServer } from "./server.ts";

let server: PostgresServer;
let systems = 0;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server?.stop());

revisionStoreCases("revisions in PostgreSQL", async () => {
  const system = `revisions-${++systems}`;
  const url = PostgresServer.url(server.address);
  const open = async () => new KeyValueRevisions(await openPostgresKeyValue({ url, system }), { closeStore: true });
  return { open, openAnother: open };
});
