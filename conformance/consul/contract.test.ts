import { after, before } from "node:test";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { ConsulServer, wait } from "./server.ts";

let server: ConsulServer;
let systems = 0;
before(async () => {
  server = await ConsulServer.start();
});
after(() => server.stop());

for (const mode of ["available", "consistent"] as const) {
  registryCases(`consul, ${mode}`, async () => {
    const system = `contract-${++systems}`;
    return { open: () => openConsulRegistry({ url: `consul://${server.address}`, system, mode }), pass: wait };
  });
}
