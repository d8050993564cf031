import { after, before } from "node:test";
import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { keyValueCases } from "../../src/settings/key-value.case.ts";
import { KeyValueRevisions } from "../../src/settings/key-value-revisions.ts";
import { revisionStoreCases } from "../../src/settings/revision-store.case.ts";
import { wait } from "../etcd/server.ts";
import { KubernetesServer } from "./server.ts";

let server: KubernetesServer;
let systems = 0;
before(async () => {
  server = await KubernetesServer.start();
  await server.namespace("contract");
});
after(() => server.stop());

for (const mode of ["available", "consistent"] as const) {
  registryCases(`kubernetes, ${mode}`, async () => {
    const system = `registry-${++systems}`;
    const open = () => openKubernetesRegistry({ url: server.url("contract"), system, mode });
    return { open, pass: wait, ttlMs: 1_000 };
  });
}

keyValueCases("kubernetes", async () => {
  const system = `keys-${++systems}`;
  const open = () => openKubernetesKeyValue({ url: server.url("contract"), system });
  return { open, openAnother: open };
});

revisionStoreCases("kubernetes", async () => {
  const system = `revisions-${++systems}`;
  const open = async () =>
    new KeyValueRevisions(await openKubernetesKeyValue({ url: server.url("contract"), system }), { closeStore: true });
  return { open, openAnother: open };
});
