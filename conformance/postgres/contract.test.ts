import { after, before } from "node:test";
import { openPostgresKeyValue } from "../../src/drivers/postgres/postgres-key-value.ts";
import { openPostgresRegistry } from "../../src/drivers/postgres/postgres-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { keyValueCases } from "../../src/settings/key-value.case.ts";
import { HurtLine } from "../hurt-line.ts";
import { wait } from "../registry-plane.ts";
import { PostgresServer } from "./server.ts";

let server: PostgresServer;
let systems = 0;
const lines: HurtLine[] = [];
before(async () => {
  server = await PostgresServer.start();
});
after(async () => {
  for (const line of lines) await line.close();
  await server?.stop();
});

registryCases("postgres", async () => {
  const system = `contract-${++systems}`;
  const line = await HurtLine.open(server.port);
  lines.push(line);
  return {
    open: (mode) => openPostgresRegistry({ url: PostgresServer.url(line.address), system, mode }),
    pass: wait,
    ttlMs: 1_000,
    away: async (away) => {
      line.refusing = away;
      if (away) line.reset();
    },
  };
});

keyValueCases("postgres", async () => {
  const system = `contract-${++systems}`;
  const open = () => openPostgresKeyValue({ url: PostgresServer.url(server.address), system });
  return { open, openAnother: open };
});
