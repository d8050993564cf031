import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { ledgerFaults } from "../ledger-faults.ts";
import { EtcdServer } from "./server.ts";

ledgerFaults("etcd", {
  server: () => EtcdServer.start(),
  open: (address, system) => openEtcdKeyValue({ url: `etcd://${address}`, system }),
});
