import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { registryFaults } from "../registry-faults.ts";
import { keptEndpoints } from "./kept-endpoints.ts";
import { ZookeeperServer } from "./server.ts";

registryFaults("zookeeper", {
  server: () => ZookeeperServer.start(),
  url: (address) => `zookeeper://${address}`,
  open: openZookeeperRegistry,
  kept: keptEndpoints,
});
