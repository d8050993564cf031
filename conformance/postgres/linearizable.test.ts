import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { openPostgresRegistry } from "../../src/drivers/postgres/postgres-registry.ts";
import { judgeDriver } from "../linearizable-faults.ts";
import { PostgresServer } from "./server.ts";

judgeDriver("postgres", {
  server: () => PostgresServer.start(),
  url: PostgresServer.url,
  openRegistry: openPostgresRegistry,
  openKeyValue: openPostgresKeyValue,
});
