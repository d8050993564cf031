import { after, before } from "node:test";
import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { registryCases } from "../../src/registry/registry.case.ts";
import { keyValueCases } from "../../src/settings/key-value.case.ts";
import { KeyValueRevisions } from "../../src/settings/key-value-revisions.ts";
import { revisionStoreCases } from "../../src/settings/revision-store.case.ts";
import { HurtLine } from "../hurt-line.ts";
import { wait } from "../registry-plane.ts";
import { KubernetesServer } from "./server.ts";

let server: KubernetesServer;
let systems = 0;
const lines: HurtLine[] = [];
before(async () => {
  server = await KubernetesServer.start();
  await server.namespace("contract");
});
after(async () => {
  for (const line of lines) await line.close();
  await server.stop();
});

for (const usual of ["available", "consistent"] as const) {
  registryCases(`kubernetes, ${usual}`, async () => {
    const system = `registry-${++systems}`;
    const line = await HurtLine.open(server.port);
    lines.push(line);
    const url = server.url("contract", line.address);
    return {
      open: (mode = usual) => openKubernetesRegistry({ url, system, mode }),
      pass: wait,
      ttlMs: 1_000,
      away: async (away) => {
        line.refusing = away;
        if (away) line.reset();
      },
    };
  });
}

keyValueCases("kubernetes", async () => {
  const system = `keys-${++systems}`;
  const open = () => openKubernetesKeyValue({ url: server.url("contract"), system });
  return { open, openAnother: open };
});

revisionStoreCases("kubernetes", async () => {
  const system = `revisions-${++systems}`;
  const url = server.url("contract");
  const open = async () => new KeyValueRevisions(await openKubernetesKeyValue({ url, system }), { closeStore: true });
  return { open, openAnother: open };
});
