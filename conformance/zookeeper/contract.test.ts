import { after, before } from "node:test";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { wait, ZookeeperServer } from "./server.ts";

let server: ZookeeperServer;
let systems = 0;
before(async () => {
  server = await ZookeeperServer.start();
});
after(() => server.stop());

for (const mode of ["available", "consistent"] as const) {
  registryCases(`zookeeper, ${mode}`, async () => {
    const system = `contract-${++systems}`;
    const url = `zookeeper://${server.address}`;
    return { open: () => openZookeeperRegistry({ url, system, mode }), pass: wait, ttlMs: 1_000 };
  });
}
