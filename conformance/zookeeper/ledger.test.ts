import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { ledgerFaults } from "../ledger-faults.ts";
import { ZookeeperServer } from "./server.ts";

ledgerFaults("zookeeper", {
  server: () => ZookeeperServer.start(),
  open: (address, system) => openZookeeperKeyValue({ url: `zookeeper://${address}`, system }),
});
