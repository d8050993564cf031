import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { openPostgresRegistry } from "../../src/drivers/postgres/postgres-registry.ts";
import { driverContracts } from "../driver-contracts.ts";
import { PostgresServer } from "./server.ts";

driverContracts("postgres", {
  server: () => PostgresServer.start(),
  url: PostgresServer.url,
  openRegistry: openPostgresRegistry,
  openKeyValue: openPostgresKeyValue,
});
