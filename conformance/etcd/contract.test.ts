import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { driverContracts } from "../driver-contracts.ts";
import { EtcdServer } from "./server.ts";

driverContracts("etcd", {
  server: () => EtcdServer.start(),
  url: (address) => `etcd://${address}`,
  openRegistry: openEtcdRegistry,
  openKeyValue: openEtcdKeyValue,
});
