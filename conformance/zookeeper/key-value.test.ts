import { after, before } from "node:test";
import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { keyValueCases } from "../../src/settings/key-value.case.ts";
import { ZookeeperServer } from "./server.ts";

let server: ZookeeperServer;
let systems = 0;
before(async () => {
  server = await ZookeeperServer.start();
});
after(() => server.stop());

keyValueCases("zookeeper", async () => {
  const system = `store-${++systems}`;
  const open = () => openZookeeperKeyValue({ url: `zookeeper://${server.address}`, system });
  return { open, openAnother: open };
});
