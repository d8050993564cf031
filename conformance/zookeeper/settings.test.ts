import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { settingsFaults } from "../settings-faults.ts";
import { ZookeeperServer } from "./server.ts";

settingsFaults("zookeeper", {
  server: () => ZookeeperServer.start(),
  openStore: (address, clock) => openZookeeperKeyValue({ url: `zookeeper://${address}`, system: "settings", clock }),
  openRegistry: (address, clock) => openZookeeperRegistry({ url: `zookeeper://${address}`, system: "settings", clock }),
});
