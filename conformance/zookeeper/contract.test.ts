import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { driverContracts } from "../driver-contracts.ts";
import { ZookeeperServer } from "./server.ts";

driverContracts("zookeeper", {
  server: () => ZookeeperServer.start(),
  url: (address) => `zookeeper://${address}`,
  openRegistry: openZookeeperRegistry,
  openKeyValue: openZookeeperKeyValue,
});
