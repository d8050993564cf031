import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { openPostgresRegistry } from "../../src/drivers/postgres/postgres-registry.ts";
import { settingsFaults } from "../settings-faults.ts";
import { PostgresServer } from "./server.ts";

settingsFaults("postgres", {
  server: () => PostgresServer.start(),
  openStore: (address, clock) => openPostgresKeyValue({ url: PostgresServer.url(address), system: "settings", clock }),
  openRegistry: (address, clock) =>
    openPostgresRegistry({ url: PostgresServer.url(address), system: "settings", clock }),
});
