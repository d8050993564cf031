import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { settingsFaults } from "../settings-faults.ts";
import { EtcdServer } from "./server.ts";

settingsFaults("etcd", {
  server: () => EtcdServer.start(),
  openStore: (address, clock) => openEtcdKeyValue({ url: `etcd://${address}`, system: "settings", clock }),
  openRegistry: (address, clock) => openEtcdRegistry({ url: `etcd://${address}`, system: "settings", clock }),
});
