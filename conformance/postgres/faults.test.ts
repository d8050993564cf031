import { openPostgresRegistry } from "../../src/drivers/postgres/postgres-registry.ts";
import { registryFaults } from "../registry-faults.ts";
import { PostgresServer } from "./server.ts";

registryFaults("postgres", {
  server: () => PostgresServer.start(),
  url: PostgresServer.url,
  open: openPostgresRegistry,
});
