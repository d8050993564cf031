import { after, before } from "node:test";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { HurtLine } from "../hurt-line.ts";
import { ConsulServer, wait } from "./server.ts";

let server: ConsulServer;
const lines: HurtLine[] = [];
before(async () => {
  server = await ConsulServer.start();
});
after(async () => {
  for (const line of lines) await line.close();
  await server.stop();
});

for (const usual of ["available", "consistent"] as const) {
  registryCases(`consul, ${usual}`, async () => {
    const system = `contract-${lines.length}`;
    const line = await HurtLine.open(server.port);
    lines.push(line);
    const url = `consul://${line.address}`;
    return {
      open: (mode = usual) => openConsulRegistry({ url, system, mode }),
      pass: wait,
      ttlMs: 1_000,
      away: async (away) => {
        line.refusing = away;
        if (away) line.reset();
      },
    };
  });
}
