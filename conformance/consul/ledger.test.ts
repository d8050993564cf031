import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { ledgerFaults } from "../ledger-faults.ts";
import { ConsulServer } from "./server.ts";

ledgerFaults("consul", {
  server: () => ConsulServer.start(),
  open: (address, system) => openConsulKeyValue({ url: `consul://${address}`, system }),
});
