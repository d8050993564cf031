import { after, before } from "node:test";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { EtcdServer, wait } from "./server.ts";

let server: EtcdServer;
let systems = 0;
before(async () => {
  server = await EtcdServer.start();
});
after(() => server.stop());

registryCases("etcd", async () => {
  const system = `contract-${++systems}`;
  return { open: () => openEtcdRegistry({ url: `etcd://${server.address}`, system }), pass: wait, ttlMs: 3_000 };
});
