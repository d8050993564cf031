import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { judgeDriver } from "../linearizable-faults.ts";
import { EtcdServer } from "./server.ts";

judgeDriver("etcd", {
  server: () => EtcdServer.start(),
  url: (address) => `etcd://${address}`,
  openRegistry: openEtcdRegistry,
  openKeyValue: openEtcdKeyValue,
});
