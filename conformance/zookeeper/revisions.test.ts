import { after, before } from "node:test";
import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { KeyValueRevisions } from "../../src/settings/key-value-revisions.ts";
import { revisionStoreCases } from "../../src/settings/revision-store.case.ts";
import { ZookeeperServer } from "./server.ts";

let server: ZookeeperServer;
let systems = 0;
before(async () => {
  server = await ZookeeperServer.start();
});
after(() => server.stop());

revisionStoreCases("revisions in ZooKeeper", async () => {
  const system = `revisions-${++systems}`;
  const url = `zookeeper://${server.address}`;
  const open = async () => new KeyValueRevisions(await openZookeeperKeyValue({ url, system }), { closeStore: true });
  return { open, openAnother: open };
});
