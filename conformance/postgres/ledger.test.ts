import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { ledgerFaults } from "../ledger-faults.ts";
import { PostgresServer } from "./server.ts";

ledgerFaults("postgres", {
  server: () => PostgresServer.start(),
  open: (address, system) => openPostgresKeyValue({ url: PostgresServer.url(address), system }),
});
