import { after, before } from "node:test";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { HurtLine } from "../hurt-line.ts";
import { EtcdServer, wait } from "./server.ts";

let server: EtcdServer;
let systems = 0;
const lines: HurtLine[] = [];
before(async () => {
  server = await EtcdServer.start();
});
after(async () => {
  for (const line of lines) await line.close();
  await server.stop();
});

registryCases("etcd", async () => {
  const system = `contract-${++systems}`;
  const line = await HurtLine.open(server.port);
  lines.push(line);
  return {
    open: (mode) => openEtcdRegistry({ url: `etcd://${line.address}`, system, mode }),
    pass: wait,
    ttlMs: 3_000,
    away: async (away) => {
      line.refusing = away;
      if (away) line.reset();
    },
  };
});
