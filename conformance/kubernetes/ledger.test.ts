import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { ledgerFaults } from "../ledger-faults.ts";
import { KubernetesServer } from "./server.ts";

let server: KubernetesServer;

ledgerFaults("kubernetes", {
  server: async () => {
    server = await KubernetesServer.start();
    await server.namespace("ledger");
    return server;
  },
  open: (address, system) => openKubernetesKeyValue({ url: server.url("ledger", address), system }),
});
