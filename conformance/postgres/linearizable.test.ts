import { test } from "node:test";
import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { openPostgresRegistry } from "../../src/drivers/postgres/postgres-registry.ts";
import { HurtLine } from "../hurt-line.ts";
import { checkLinearizable } from "../linearizable.ts";
import { hurtInTurn } from "../linearizable-faults.ts";
import { PostgresServer } from "./server.ts";

test("postgres: what concurrent clients see across faults is in order", async () => {
  const server = await PostgresServer.start();
  const line = await HurtLine.open(server.port);
  let opened = 0;
  const url = (): string => PostgresServer.url(opened++ % 2 === 0 ? server.address : line.address);
  try {
    await checkLinearizable({
      name: "postgres",
      openKeyValue: () => openPostgresKeyValue({ url: url(), system: "lin" }),
      openRegistry: () => openPostgresRegistry({ url: url(), system: "lin", mode: "consistent" }),
      hurt: () => hurtInTurn(server, line),
    });
  } finally {
    await line.close();
    await server.stop();
  }
});
