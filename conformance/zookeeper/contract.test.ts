import { after, before } from "node:test";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { HurtLine } from "../hurt-line.ts";
import { wait, ZookeeperServer } from "./server.ts";

let server: ZookeeperServer;
const lines: HurtLine[] = [];
before(async () => {
  server = await ZookeeperServer.start();
});
after(async () => {
  for (const line of lines) await line.close();
  await server.stop();
});

for (const usual of ["available", "consistent"] as const) {
  registryCases(`zookeeper, ${usual}`, async () => {
    const system = `contract-${lines.length}`;
    const line = await HurtLine.open(server.port);
    lines.push(line);
    const url = `zookeeper://${line.address}`;
    return {
      open: (mode = usual) => openZookeeperRegistry({ url, system, mode }),
      pass: wait,
      ttlMs: 1_000,
      away: async (away) => {
        line.refusing = away;
        if (away) line.reset();
      },
    };
  });
}
