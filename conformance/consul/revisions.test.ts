import { after, before } from "node:test";
import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { KeyValueRevisions } from "../../src/settings/key-value-revisions.ts";
import { revisionStoreCases } from "../../src/settings/revision-store.case.ts";
import { ConsulServer } from "./server.ts";

let server: ConsulServer;
let systems = 0;
before(async () => {
  server = await ConsulServer.start();
});
after(() => server.stop());

revisionStoreCases("revisions in Consul", async () => {
  const system = `revisions-${++systems}`;
  const url = `consul://${server.address}`;
  const open = async () => new KeyValueRevisions(await openConsulKeyValue({ url, system }), { closeStore: true });
  return { open, openAnother: open };
});
